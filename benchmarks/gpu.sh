#!/usr/bin/env bash
# Measures everything on a GPU, and prints the table: runs of one network captured and eager, cohorts against runs one
# by one and against the HFTA-style cohort for several K, the grid, q1 to q7, ResNet18 in bf16, memory, limits, the curve.
#
#     benchmarks/gpu.sh [ZIP] [OUT]      # ZIP of JPEG images: train/<class>/ and test/<class>/; OUT: results/benchmarks
#
# Pairs that are in OUT already are kept: given again after an interruption it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
zip=${1:-}
out=${2:-results/benchmarks}

if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "benchmarks/gpu.sh: torch finds no GPU here, so there is nothing to measure;" \
         "on the CPU: $python -m benchmarks all --zip FILE" >&2
    exit 2
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader || true

measure() { "$python" -m benchmarks "$@" --device cuda --out "$out"; }

measure images_per_second captured resnet18 data_share limits
for members in 1 2 5 10 20 40 80 160 320; do
    measure cohort --members "$members" --pairs "$([ "$members" = 40 ] && echo 7 || echo 3)"
done
measure runs_curve
"$python" -m benchmarks.convolutions --device cuda --members 40
if [ -n "$zip" ]; then
    measure questions grid whole_run --zip "$zip"
else
    echo "benchmarks/gpu.sh: questions, grid and whole_run train on real images; name their zip to measure them" >&2
fi
echo
"$python" -m benchmarks table --out "$out"
