#!/usr/bin/env bash
# What half an hour with a GPU is for: the full-size figures, then the shipped model trained further.
#   bash benchmarks/gpu_session.sh OUT [PYTHON]
# Each part logs to OUT and is skipped where its result is there, so that it can be run in several calls.
# Not run yet: no GPU has been lent. Every command has run on a CPU at small size.
set -euo pipefail
out=${1:?where to put logs and weights}; python=${2:-python3}
mkdir -p "$out" gpu
part() { local log="$out/$1.log"; shift; [ -e "$log.done" ] || { "$@" 2>&1 | tee "$log"; touch "$log.done"; }; }

part forward "$python" benchmarks/forward.py --device cuda --dtype bfloat16 --preset hydra-1.3b --frames 20 20 \
    --grid 30 52 --steps 50
part worlds "$python" benchmarks/worlds.py speed --preset hm-world
part clips "$python" -m outofsight worlds --clips 1600 --seed 100 --preset tiny-30fps --out gpu/clips --workers 14
# rendering targets is work for the CPU cores
part encode "$python" -m outofsight encode gpu/clips --model tiny --out gpu/latents --device cpu --workers 14 --true-places
resume=(); [ -d gpu/tiny/checkpoints ] && resume=(--resume)
timeout --signal INT "${TRAIN_SECONDS:-420}" "$python" -m outofsight train tiny --data gpu/latents --out gpu/tiny \
    --set batch_size=64 --set draws=4 --set steps=1000000 --set checkpoint_every=500 "${resume[@]}" || true
last=$(ls -d gpu/tiny/checkpoints/step-*/ema | tail -1)
tiny=$("$python" -c 'from outofsight.components.hub import SHIPPED; print(SHIPPED / "tiny")')
"$python" -m outofsight.training.assemble --parts "$tiny" --preset tiny --transformer "$last" --out "$out/tiny"
