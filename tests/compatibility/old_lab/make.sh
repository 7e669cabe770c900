#!/usr/bin/env bash
# How `results` was made: by these commands of cifar-lab 0.1.0, in a copy of this folder without it.
# What is checked in is never made again: that it is old is what it is for.
set -u
PYTHON=${PYTHON:-python}

lab() { "$PYTHON" -m cifar_lab "$@"; }

stop_in_first_epoch() {  # the command is asked to stop (SIGTERM) and does so after the epoch
    "$PYTHON" -m cifar_lab "$@" > log &
    until grep -q "^device:" log; do sleep 0.01; done
    kill -TERM $!
    wait $!
    rm log
}

run_of() {  # the folder of the run of a label and a seed
    grep -l "^ \"label\": \"$1\"" results/runs/*/record.json | xargs grep -l "^ \"seed\": $2," | xargs dirname
}

damage() { printf x | dd of="$1" bs=1 seek=200 conv=notrunc status=none; }

lab run baseline.yaml adam.yaml augmented.yaml net.yaml
lab run --question smooth --lab lab.yaml --until-decided --max-seeds 4
lab run wild.yaml broken.yaml
lab sweep grid.yaml
lab sweep halving.yaml
stop_in_first_epoch run interrupted_net.yaml
stop_in_first_epoch run interrupted_small.yaml

# A record that is damaged is set aside when its run is made again, and the new record says so.
damage "$(run_of Adam 2)/record.json"
lab run adam.yaml
# Weights that are damaged are set aside by `verify`, and their record with them: the rest of the run is left.
lab run baseline.yaml --seeds 7
damage "$(run_of control 7)/weights.safetensors"
lab verify
rm results/*.png
