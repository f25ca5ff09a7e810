r"""python benchmarks/training.py                    one training step: ours against the same step written plainly
python benchmarks/training.py --estimate             memory and time of hydra_1_3b on 1 to 32 GPUs, computed
python benchmarks/training.py --device cuda --preset hydra-1.3b --frames 20 20 --grid 30 52 --clips 1 \
    --precision bf16 --checkpointing

Plainly: attention frame by frame with keys side by side, each clip's context computed for every noisy target, an
optimiser that loops over the tensors. Losses and gradients are compared before anything is timed; variants take turns
within a run. Ratios of one run are what can be compared: absolute times on a shared machine cannot.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from outofsight.models import PRESETS
from outofsight.models.cost import ClipSize, TrainingCost, training_cost
from outofsight.recipes import hydra_1_3b
from outofsight.training import ObjectiveOptions, TrainConfig, batch_loss
from outofsight.training.dataset import Batch
from outofsight.training.draws import Draws
from outofsight.training.optimizers import transformer_optimizer
from outofsight.training.shared_context import SharedContext

GIB = 2**30
# what is computed with: sustained FLOP/s, and bytes/s of collectives within a node and between nodes, on each GPU
FLOPS, INSIDE, BETWEEN, NODE = 400e12, 300e9, 40e9, 8
CLEAN = {"context_timestep": "clean", "context_attention": "context_only"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--kind", choices=["preset", "cacheable"], default="preset")
    parser.add_argument("--frames", type=int, nargs=2, default=(13, 13), metavar=("CONTEXT", "TARGET"))
    parser.add_argument("--grid", type=int, nargs=2, default=(6, 10), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--draws", type=int, nargs="+", default=(1, 2, 4), help="noisy targets for each clip")
    parser.add_argument("--precision", choices=["no", "bf16"], nargs="+", default=("no", "bf16"))
    parser.add_argument("--words", type=int, default=64, help="text tokens")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    parser.add_argument("--compile", action="store_true", help="also time compiled blocks")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--estimate", action="store_true", help="print the computed table instead")
    return parser.parse_args()


class Step:
    """One training step of a variant, on weights and an optimiser of its own."""

    def __init__(self, options: argparse.Namespace, precision: str, draws: int, how: str) -> None:
        self.options, self.precision, self.plain = options, precision, how == "plain"
        torch.manual_seed(0)
        arguments = {**PRESETS[options.preset].transformer, **(CLEAN if options.kind == "cacheable" else {})}
        with torch.device(options.device):
            self.model: Any = PRESETS[options.preset].build_transformer(**arguments).train()
        for name, parameter in self.model.named_parameters():
            if "cam_encoder" in name or "ray_encoder" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        if options.checkpointing:
            self.model.enable_gradient_checkpointing()
        self.called: Any = self.model
        if how != "plain" and draws > 1 and self.model.cacheable:
            self.called = SharedContext(self.model, draws)
        if how == "compiled":
            self.model.compile_repeated_blocks()
        self.named = dict(self.model.named_parameters())
        self.optimizer: Any
        if self.plain:
            self.optimizer = torch.optim.AdamW(self.named.values(), lr=1e-6, foreach=False, fused=False)
        else:
            config = TrainConfig(Path("-"), Path("-"))
            self.optimizer = transformer_optimizer(config, self.named, self.model)
        self.batch = clips(options, self.model)
        self.draws = Draws(0, 0, range(options.clips), copies=draws)

    def gradients(self) -> float:
        bf16 = torch.autocast(self.options.device, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with bf16:
            objective = ObjectiveOptions(noise="clip")
            loss, _ = batch_loss(self.called, self.batch, self.draws, objective, plain=self.plain)
        loss.backward()
        return float(loss.detach())

    def __call__(self) -> None:
        self.gradients()
        if self.plain:
            self.optimizer.step()
            self.optimizer.zero_grad()
        else:
            self.optimizer.step(1e-6)


def clips(options: argparse.Namespace, model: Any) -> Batch:
    g = torch.Generator().manual_seed(1)
    (context, target), count = options.frames, options.clips
    _, rows, columns = model.config.patch_size
    size = (options.grid[0] * rows, options.grid[1] * columns)
    poses = torch.eye(4)[:3].reshape(1, 1, 12) + 0.1 * torch.randn(count, context + target, 12, generator=g)
    return Batch(
        names=tuple(map(str, range(count))),
        latents=torch.randn(count, model.config.in_channels, context + target, *size, generator=g),
        context_frames=context,
        text=torch.randn(count, options.words, model.config.text_dim, generator=g),
        context_poses=poses[:, :context],
        target_poses=poses[:, context:],
        horizontal_fov=torch.full((count,), 60.0),
        subject=torch.zeros(count, context + target, *size),
        phase=torch.zeros(count, context + target, dtype=torch.uint8),
    ).to(options.device)


def compare(ours: Step, plain: Step) -> None:
    """Losses and gradients of the two, before anything is timed."""
    losses = ours.gradients(), plain.gradients()
    squares = [
        (float((p.grad - plain.named[name].grad).square().sum()), float(plain.named[name].grad.square().sum()))
        for name, p in ours.named.items()
        if plain.named[name].grad is not None
    ]
    difference, size = (sum(column) ** 0.5 for column in zip(*squares, strict=True))
    bound = 1e-4 if ours.precision == "no" else 1e-1
    if abs(losses[0] - losses[1]) > bound * losses[1] or difference > bound * size:
        raise SystemExit(f"steps differ: losses {losses}, gradients by {difference / size:.1e}: nothing is timed")
    for step in (ours, plain):
        step.model.zero_grad()


def clock(run: Callable[[], None], device: str) -> float:
    """Seconds on the clock of a GPU's step; of a CPU's, the seconds that its threads worked, which others on a shared
    machine stretch less."""
    if device == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(options: argparse.Namespace, precision: str, draws: int) -> dict[str, list[float]]:
    kinds = ["plain", "ours", *(["compiled"] if options.compile else [])]
    steps = {how: Step(options, precision, draws, how) for how in kinds}
    for how in kinds[1:]:
        compare(steps[how], steps["plain"])
    for step in steps.values():
        step()  # optimiser state, threads
    times: dict[str, list[float]] = {how: [] for how in steps}
    for _ in range(options.repeats):
        for how, step in steps.items():
            times[how].append(clock(step, options.device))
    return times


def report(options: argparse.Namespace) -> None:
    tokens = sum(options.frames) * options.grid[0] * options.grid[1]
    table = Table(
        title=f"one training step: {options.preset}, {options.clips} clips of {tokens} tokens, {options.device}, "
        f"{options.threads} threads; losses and gradients equal"
    )
    unit = "CPU s" if options.device == "cpu" else "s"
    columns = ("precision", "draws", "step", f"best {unit}", f"median {unit}", f"noisy targets/{unit}", "against plain")
    for column in columns:
        table.add_column(column, justify="right")
    for precision in options.precision:
        for draws in options.draws:
            times = measure(options, precision, draws)
            for how, taken in times.items():
                rate = options.clips * draws / min(taken)
                ratio = min(times["plain"]) / min(taken)
                values = (f"{min(taken):.3f}", f"{statistics.median(taken):.3f}", f"{rate:.2f}", f"{ratio:.2f}")
                table.add_row({"no": "float32"}.get(precision, precision), str(draws), how, *values)
    Console(width=120).print(table)


def held(cost: TrainingCost, clips: int, processes: int, sharding: str) -> dict[str, float]:
    """Bytes on each GPU in training with AdamW, bf16 and EMA; one of its ``clips`` of a step at a time."""
    shards = processes if sharding == "fsdp2" else 1
    # autocast's bf16 copies of trained weights; or whole layers: two blocks, one computed and one on its way, and
    # what is outside the blocks
    copies = 2 * cost.learned if shards == 1 else 2 * (2 * cost.in_a_block + cost.outside)
    return {
        "weights": 4 * cost.parameters / shards,
        "gradients": 4 * cost.learned / (shards if clips == 1 else 1),  # whole until the last of several clips
        "optimiser": 8 * cost.learned / shards,
        "EMA": 4 * cost.learned / shards,
        "copies": copies,
        "activations": cost.activations,
    }


def sent(cost: TrainingCost, clips: int, processes: int, sharding: str) -> float:
    """Bytes that one GPU sends in a step (ring collectives): DDP sums gradients once, FSDP2 gathers weights for the
    forward and again for the backward pass of every clip, and shares out gradients."""
    share = (processes - 1) / processes
    if sharding != "fsdp2":
        return 2 * share * 4 * cost.learned
    return share * (2 * 2 * cost.parameters * clips + 4 * cost.learned)


def estimate() -> None:
    """The paper's run on 1 to 32 GPUs, computed from the model's sizes; nothing of it was measured."""
    config, preset = hydra_1_3b(Path("-"), Path("-")), PRESETS["hydra-1.3b"]
    with torch.device("meta"):
        sizes = preset.build_transformer().config
    clip = ClipSize(20, 20, preset.height // 8, preset.width // 8)
    cost = training_cost(sizes, config.trained_names, clip)
    print(
        f"hydra_1_3b, COMPUTED, not measured: batch {config.batch_size}, bf16, gradient checkpointing, AdamW, EMA, at "
        f"{FLOPS / 1e12:.0f} TFLOP/s sustained per GPU; collectives at {INSIDE / 1e9:.0f} GB/s in a "
        f"node of {NODE} and {BETWEEN / 1e9:.0f} GB/s between nodes, not overlapped\n"
    )
    heading = (
        "GPUs", "sharding", "clips each", "weights GiB", "gradients", "optimiser", "EMA", "copies", "activations",
        "each GPU GiB", "compute s/step", "sending s/step", "hours for 10,000 steps", "GPU hours",
    )  # fmt: skip
    print("| " + " | ".join(heading) + " |\n|" + "---:|" * len(heading))
    for processes in (1, 2, 4, 8, 16, 32):
        for sharding in ("ddp", "fsdp2") if processes > 1 else ("none",):
            clips = config.batch_size // processes
            compute = clips * cost.operations / FLOPS
            sending = sent(cost, clips, processes, sharding) / (INSIDE if processes <= NODE else BETWEEN)
            hours = (compute + sending) * config.steps / 3600
            parts = [*held(cost, clips, processes, sharding).values()]
            row = [str(processes), sharding, str(clips), *(f"{size / GIB:.1f}" for size in (*parts, sum(parts)))]
            row += [f"{compute:.1f}", f"{sending:.2f}", f"{hours:.1f}", f"{hours * processes:.0f}"]
            print("| " + " | ".join(row) + " |")


def main() -> None:
    options = parse()
    if options.estimate:
        estimate()
        return
    torch.set_num_threads(options.threads)
    report(options)


if __name__ == "__main__":
    main()
