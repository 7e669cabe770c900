#!/usr/bin/env bash
# Measures on a GPU for eight minutes, the most telling first, and prints the tables of docs/performance.md: the block
# kernel, the grid as one command, start-up, ResNet18, the tests of the block kernel, then benchmarks of steps. The parts
# up to those tests are estimated at seven minutes. A part that hangs is ended. What was not measured is named.
#
#     benchmarks/gpu.sh [ZIP] [OUT]      # ZIP of JPEG images: train/<class>/ and test/<class>/; OUT: results/benchmarks
#     BUDGET_S=3600 benchmarks/gpu.sh …  # everything, in longer
#     DRY_RUN=1 benchmarks/gpu.sh …      # print the commands
#     python -m benchmarks.gpu_table OUT # then: fill the table of targets in docs/performance.md
#
# Pairs that are in OUT already are kept, so a measurement that was stopped can resume.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
zip=${1:-}
out=${2:-results/benchmarks}
budget=${BUDGET_S:-480}
dry=${DRY_RUN:-}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"

if [ -z "$dry" ] && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "benchmarks/gpu.sh: torch finds no GPU here, so there is nothing to measure;" \
         "on the CPU: $python -m benchmarks all --zip FILE" >&2
    exit 2
fi
[ -n "$dry" ] || nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader || true
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CIFAR_LAB_CACHE=${CIFAR_LAB_CACHE:-$scratch/cache}

within() { # NAME SECONDS COMMAND…: run it, if there is time, for at most so long
    local left=$((budget - SECONDS)) began=$SECONDS status=0
    local limit=$(($2 < left ? $2 : left))
    if [ -n "$dry" ]; then
        echo "$1, at most $2 s: ${*:3}"
        return
    elif [ "$limit" -le 0 ]; then
        echo "not measured within $budget s: $1"
        return
    fi
    timeout --kill-after=10 "$limit" "${@:3}" || status=$?
    case $status in
        0) ;;
        124 | 137) echo "benchmarks/gpu.sh: $1 was ended after $limit s" ;;
        *) echo "benchmarks/gpu.sh: $1 ended with $status" ;;
    esac
    echo "$1: $((SECONDS - began)) s"
}
measure() { # SECONDS NAME…
    within "${*:2}" "$1" "$python" -m benchmarks "${@:2}" --device cuda --quiet-cores 2 --out "$out"
}
images=()
[ -z "$zip" ] || images=(--zip "$zip")
tests=("$python" -m pytest -q -p no:cacheprovider tests/training/backends/block -m '' -k)

within "block kernel" 150 "$python" -m benchmarks.block --seconds 90 --out "$out"
within "grid of 320 points" 180 "$python" -m benchmarks.whole_grid --device cuda "${images[@]}" --out "$out"
measure 100 start_up --pairs 1
measure 130 resnet18 --pairs 1 --seconds 1
within "tests of the block kernel" 150 "${tests[@]}" 'cuda or streams or move_between'
measure 150 images_per_second captured --pairs 1 --seconds 1
for members in 40 320 10 2; do
    measure 200 cohort --members "$members" --pairs 2 --seconds 1
done
if [ -n "$zip" ]; then
    measure 900 questions grid whole_run --zip "$zip" --pairs 1
else
    echo "benchmarks/gpu.sh: questions, grid and whole_run train on real images; name their zip to measure them" >&2
fi
measure 300 data_share limits --pairs 2 --seconds 1
measure 600 runs_curve
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck; do
        within "$tool" 600 compute-sanitizer --tool "$tool" --error-exitcode 1 "${tests[@]}" '(gradients or teams) and cuda'
    done
fi
within convolutions 300 "$python" -m benchmarks.convolutions --device cuda --members 40
[ -z "$dry" ] || exit 0
echo
"$python" -m benchmarks table --out "$out"
echo
"$python" -m benchmarks.gpu_table --print "$out"
