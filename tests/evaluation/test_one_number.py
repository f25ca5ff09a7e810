"""One name, one number: every way in which a clip is measured gives the same; and metrics come from outside too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from outofsight.commands.demo_run import MODEL, packaged_clip, scores_table
from outofsight.commands.view import read_given
from outofsight.datasets import read_clip
from outofsight.evaluation import METRICS, EvalClip, eval_clip, evaluate, read_evaluation
from outofsight.evaluation.baselines import BEST_VIEW, LAST_FRAME, Continuation, make
from outofsight.evaluation.measure import measure
from outofsight.evaluation.metrics import frame_psnr
from outofsight.evaluation.scores import Scores
from outofsight.evaluation.tables import latex, markdown, text
from outofsight.generation.outputs import OutputPaths
from outofsight.generation.record import Machine, RunRecord, Settings, Sources
from outofsight.generation.request import Job, load_inputs
from outofsight.io import write_json
from outofsight.study.rows import ROWS as STUDY_ROWS
from outofsight.study.rows import Run
from outofsight.study.values import RunValues, read_values
from outofsight.training.validate import Validator
from outofsight.training.validation_report import ValidationResult, ValidationSettings
from outofsight.video import read_video, write_video
from outofsight.viewer.collect import collect
from outofsight.viewer.runs import one_run
from outside.metric import NAME, register

WHERE = ("", " re-entered", " hidden", " inside", " outside", " re-entered inside")


@pytest.fixture(scope="module")
def shipped() -> Path:
    return packaged_clip("tiny")


@pytest.fixture(scope="module")
def clip(shipped: Path) -> EvalClip:
    return eval_clip(read_clip(shipped), shipped).read()


@pytest.fixture(scope="module")
def video(clip: EvalClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fixed prediction of the shipped clip: its truth, four frames late and darker."""
    file = tmp_path_factory.mktemp("made") / f"{clip.name}.mp4"
    late = np.concatenate([clip.context[-4:], clip.truth])[: len(clip.truth)]
    write_video(file, (late * 0.9).round().astype(np.uint8), clip.fps)
    return file


@pytest.fixture(scope="module")
def by_evaluate(clip: EvalClip, shipped: Path, video: Path) -> dict[str, Scores]:
    """What ``outofsight evaluate`` finds, by row."""
    found = evaluate(video.parent, shipped.parent, name=MODEL)
    return {row: scores.flat[clip.name] for row, scores in found.rows.items() if scores.clips}


def psnr_by_hand(frames: np.ndarray, clip: EvalClip) -> dict[str, float]:
    """By the written definitions (docs/metrics.md, "Regions"), from masks and pixel counts alone."""
    subject = clip.clip.subjects[clip.numbers[0] - 1]
    assert len(clip.numbers) == 1 and subject.visible_pixels is not None and clip.ids is not None
    seen = subject.visible_pixels > 0
    cut, back, hidden = len(clip.context), [], []
    returned = False
    for frame in range(cut, len(seen)):
        returned = bool(seen[frame]) and (returned or not seen[frame - 1])
        back.append(returned)
        hidden.append(not seen[frame])
    inside = np.zeros(clip.truth.shape[:3], bool)
    for frame, ids in enumerate(clip.ids[cut:] == clip.numbers[0]):
        if ids.any():
            rows, columns = np.flatnonzero(ids.any(axis=1)), np.flatnonzero(ids.any(axis=0))
            inside[frame, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    errors = ((frames.astype(float) - clip.truth) ** 2).mean(axis=-1) / 255**2

    def dB(pixels: np.ndarray, chosen: list[bool]) -> float:
        values = [-10 * np.log10(errors[f][pixels[f]].mean()) for f in np.flatnonzero(chosen) if pixels[f].any()]
        return float(np.mean(values))

    every, whole = [True] * len(frames), np.ones_like(inside)
    return {
        "psnr": dB(whole, every), "psnr re-entered": dB(whole, back), "psnr hidden": dB(whole, hidden),
        "psnr inside": dB(inside, every), "psnr outside": dB(~inside, every),
        "psnr re-entered inside": dB(inside, back),
    }  # fmt: skip


def test_the_definitions_are_those_of_the_documentation(
    clip: EvalClip, video: Path, by_evaluate: dict[str, Scores]
) -> None:
    expected = psnr_by_hand(read_video(video).frames, clip)
    assert {f"psnr{where}": by_evaluate[MODEL][f"psnr{where}"] for where in WHERE} == pytest.approx(expected, rel=1e-4)
    # the region of the fates is another one, and has no name of its own among the values of PSNR
    frames = read_video(video).frames
    region = frame_psnr(frames, clip.truth, clip.region)
    assert abs(float(np.nanmean(region)) - expected["psnr re-entered inside"]) > 0.05


def test_demo_and_evaluate_agree(clip: EvalClip, video: Path, by_evaluate: dict[str, Scores]) -> None:
    rows = {MODEL: measure(Continuation(read_video(video).frames), clip).flat()}
    rows |= {row: measure(make(row, clip), clip).flat() for row in (LAST_FRAME, BEST_VIEW)}
    for row, scores in rows.items():
        assert scores.items() <= by_evaluate[row].items() and scores["fate"] is not None
        assert {f"psnr{where}" for where in WHERE} <= scores.keys()
    lines = {line.split("  ")[0].strip(): line.split() for line in scores_table(rows).splitlines()[1:]}
    for row, cells in lines.items():
        of = [by_evaluate[row][name] for name in ("psnr", "psnr re-entered", "psnr re-entered inside")]
        assert cells[-4:] == [*(f"{value:.1f}" for value in of), by_evaluate[row]["fate"]]


def test_validation_and_study_agree(
    clip: EvalClip, video: Path, by_evaluate: dict[str, Scores], shipped: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    frames = read_video(video).frames
    validator = object.__new__(Validator)  # its VAE and encoded clips would make other pixels of them
    validator.settings, validator.count, validator._fixed = ValidationSettings(retrieval=False), 1, {}
    monkeypatch.setattr(Validator, "_clip", lambda self, name: eval_clip(read_clip(shipped), shipped).read())
    monkeypatch.setattr(Validator, "_decode", lambda self, latents: frames[None])
    monkeypatch.setattr(Validator, "generate", lambda *_, **__: None)

    class Latents(list):
        def collate(self, batch: list) -> object:
            return batch[0]

    class Encoded:
        name, names, context_frames, latents = clip.name, (clip.name,), 1, np.zeros((1, 2, 1, 1))

    validator.latents = Latents([Encoded()])  # type: ignore[assignment]
    found = ValidationResult(validator.settings, {"model": validator.measure(None)} | validator.fixed_rows())
    for row, name in (
        ("model", MODEL),
        (LAST_FRAME, LAST_FRAME),
        (BEST_VIEW, BEST_VIEW),
        ("VAE reconstruction", MODEL),
    ):
        assert found.rows[row][clip.name].items() <= by_evaluate[name].items()
    assert found.flat()["model: psnr re-entered inside"] == by_evaluate[MODEL]["psnr re-entered inside"]
    settings = Run(STUDY_ROWS["full"], 0).config(Path("data"), Path("out"), Path("components")).to_json()
    facts = {"parameters": 1, "seconds": 1.0, "steps": 1, "machine": "none", "finished": "today"}
    RunValues("full", 0, settings, {"test": ""}, facts, (), found.rows["model"]).save(tmp_path)
    kept = read_values(tmp_path / "full-seed0.json").clips[clip.name]
    known = by_evaluate[MODEL]
    assert kept.keys() >= {f"psnr{where}" for where in WHERE} | {"fate", "fate_margin"}
    for name, value in kept.items():
        assert value == (pytest.approx(known[name], abs=1e-5) if isinstance(known[name], float) else known[name])


def test_the_viewer_agrees(
    clip: EvalClip, video: Path, by_evaluate: dict[str, Scores], shipped: Path, tmp_path: Path
) -> None:
    paths, sources = OutputPaths(tmp_path / "run.mp4"), Sources(clip=str(shipped))
    shutil.copy(video, paths.video)
    settings = Settings(num_inference_steps=1, guidance_scale=1.0, shift=3.0)
    inputs = load_inputs(Job(paths, sources), settings, 4).fitted(settings)
    model = {"name": "small", "folder": None, "files": {}}
    record = RunRecord(
        settings,
        sources,
        Machine(),
        7,
        False,
        inputs.record(inputs.context_cameras.horizontal_fov, inputs.frames.shape[1:3]),
        model,
        "f",
        outputs={},
    )
    write_json(paths.record, record.to_json())
    rows = {line[0]: line[1:] for line in collect(one_run(paths.video), None, read_given).scores}
    columns = ("psnr", "psnr re-entered", "psnr hidden", "psnr re-entered inside")
    for row, name in (("run", MODEL), (LAST_FRAME, LAST_FRAME), (BEST_VIEW, BEST_VIEW)):
        known = by_evaluate[name]
        assert rows[row] == (*(f"{known[column]:.1f}" for column in columns), known["fate"])


# --- metrics from outside ---------------------------------------------------------------------------------------


@pytest.fixture
def outside() -> Iterator[None]:
    register()
    yield
    del METRICS[NAME]


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_metric_from_outside_stands_in_every_table(data: Path, made: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "result.json"
    found = evaluate(made, data, out, workers=workers)
    clip, frames = eval_clip(read_clip(data, "clip-0"), data / "clip-0"), read_video(made / "clip-0.mp4").frames
    levels = frames.mean(axis=(1, 2, 3)) / 2.55
    value = found.rows["made"].clips["clip-0"].values[NAME]
    assert value.frames == pytest.approx(levels) and value.means["target"] == pytest.approx(levels.mean())
    assert value.means["re-entered"] == pytest.approx(levels[clip.re_entered].mean())
    mean = f"{found.rows['made'].summary[NAME].mean:.3f}"
    for words in (text(found), markdown(found), latex(found)):
        assert "Further metrics" in words and NAME in words and mean in words
    del METRICS[NAME]  # whoever reads the file does not know it
    again = read_evaluation(out)
    assert again.definitions[NAME]["words"] == "mean level of a frame, of 255" and text(again) == text(found)
    assert json.loads(out.read_text())["definitions"][NAME]["needs"] == ["truth"]
    register()
