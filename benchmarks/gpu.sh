#!/usr/bin/env bash
# Measures on a GPU for eight minutes, the most telling first, and prints the tables of docs/performance.md: the block
# kernel with its tests, start-up, the grid as one command, then benchmarks of steps. The rest is named.
#
#     benchmarks/gpu.sh [ZIP] [OUT]      # ZIP of JPEG images: train/<class>/ and test/<class>/; OUT: results/benchmarks
#     BUDGET_S=3600 benchmarks/gpu.sh …  # everything, in longer
#
# Pairs that are in OUT already are kept, so a measurement that was stopped can resume.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
zip=${1:-}
out=${2:-results/benchmarks}
budget=${BUDGET_S:-480}

if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "benchmarks/gpu.sh: torch finds no GPU here, so there is nothing to measure;" \
         "on the CPU: $python -m benchmarks all --zip FILE" >&2
    exit 2
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader || true
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

within() { # NAME COMMAND…, if there is time
    if [ "$SECONDS" -ge "$budget" ]; then
        echo "not measured within $budget s: $1"
        return
    fi
    local began=$SECONDS status=0
    "${@:2}" || status=$?
    [ "$status" = 0 ] || echo "benchmarks/gpu.sh: $1 ended with $status"
    echo "$1: $((SECONDS - began)) s"
}
measure() { within "$*" "$python" -m benchmarks "$@" --device cuda --out "$out"; }
lab() { "$python" -m cifar_lab "$@"; }
images=(--set data.dataset=synthetic --set data.train_size=50000 --set data.test_size=10000)
[ -z "$zip" ] || images=(--set data.dataset=imagefolder --set "data.root=$zip")

block_tests() { "$@" -m pytest -q -p no:cacheprovider tests/training/backends/block -m '' -k "$which"; }
which='cuda or streams or move_between' within "tests of the block kernel" block_tests "$python"
within "block kernel" "$python" -m benchmarks.block --out "$out"
# Start-up: one epoch of a run alone, with a new cache of kernels and then with all caches.
export CIFAR_LAB_CACHE=${CIFAR_LAB_CACHE:-$scratch/cache}
for caches in cold warm; do
    within "run, one epoch, $caches" lab run configs/baseline.yaml "${images[@]}" --set runtime.device=cuda \
        --set epochs=1 --set 'seeds=[0]' --results "$scratch/$caches"
done
within "grid of 320 points, ten epochs, confirmed" lab sweep configs/q8_grid.yaml "${images[@]}" \
    --set runtime.device=cuda --results "$scratch/grid"
measure start_up --pairs 2
measure images_per_second captured resnet18 --pairs 2 --seconds 1
for members in 40 320 10 2; do
    measure cohort --members "$members" --pairs 2 --seconds 1
done
if [ -n "$zip" ]; then
    measure questions grid whole_run --zip "$zip" --pairs 1
else
    echo "benchmarks/gpu.sh: questions, grid and whole_run train on real images; name their zip to measure them" >&2
fi
measure data_share limits --pairs 2 --seconds 1
measure runs_curve
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck; do
        which='(gradients or teams) and cuda' within "$tool" \
            block_tests compute-sanitizer --tool "$tool" --error-exitcode 1 "$python"
    done
fi
within convolutions "$python" -m benchmarks.convolutions --device cuda --members 40
echo
"$python" -m benchmarks table --out "$out"
