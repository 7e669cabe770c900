"""Commands on the old lab: exit codes here, texts in `expected/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A command, the file of its expected text, and its exit code."""

    name: str
    line: str
    code: int = 0


READING = (
    Case("list", "list"),
    Case("list_arms", "list --arms"),
    Case("list_sorted", "list --sort accuracy --filter data.flip=false --filter status=done"),
    Case("list_arms_sorted", "list --arms --sort validation --reverse"),
    Case("show_done", "show 13747b80a8ccfdc5"),
    Case("show_net", "show 0eafd07a"),
    Case("show_made_again", "show 82e8"),
    Case("show_searched", "show 766f6c1d2bd26f71"),
    Case("show_diverged", "show fc598f454169a1cc"),
    Case("show_failed", "show 8eee8ce96f1477ff"),
    Case("show_interrupted", "show ae49e40ad2b52e80"),
    Case("show_pruned", "show 108d4df2e4dc9247"),
    Case("show_set_aside", "show 2dbf48464320e7fc"),
    Case("show_many", "show b", 2),
    Case("show_none", "show 0000", 2),
    Case("compare_arms", "compare Adam control --lab lab.yaml"),
    Case("compare_files", "compare smooth.yaml baseline.yaml --lab lab.yaml --min-effect 5"),
    Case("compare_runs", "compare 13747b80a8ccfdc5 6bec6d09b0ae94b4"),
    Case("compare_sweeps", "compare grid.yaml halving.yaml"),
    Case("compare_arm_and_sweep", "compare Adam grid"),
    Case("compare_same", "compare control baseline.yaml", 2),
    Case("plan", "plan --lab lab.yaml", 2),
    Case("plan_question", "plan --lab lab.yaml --question optimizer --effect 2"),
    Case("plan_files", "plan baseline.yaml missing.yaml --seeds 0-5"),
    Case("verify", "verify"),
    Case("run_dry", "run baseline.yaml adam.yaml net.yaml wild.yaml broken.yaml missing.yaml --dry-run"),
    Case("run_dry_interrupted", "run interrupted_net.yaml interrupted_small.yaml --dry-run"),
    Case("run_dry_questions", "run --lab lab.yaml --all --seeds 0-3 --dry-run"),
    Case("sweep_dry", "sweep grid.yaml --dry-run"),
    Case("sweep_dry_halving", "sweep halving.yaml --dry-run"),
    Case("sweep_dry_more_seeds", "sweep grid.yaml --seeds 0,1 --dry-run"),
    Case("sweep_dry_more_trials", "sweep halving.yaml --seeds 7 --dry-run"),
    Case("check", "check lab.yaml grid.yaml halving.yaml augmented.yaml"),
    Case("check_other_base", "check adam.yaml --set optimizer.lr=fast --set data.flop=true", 2),
    Case("run_nothing", "run", 2),
    Case("run_no_file", "run nothing.yaml", 2),
    Case("report_no_sheet", "report --lab nothing.yaml", 2),
    Case("report_check_without_report", "report --lab lab.yaml --check", 2),
)
"""Commands that change nothing."""

REPEATED = (
    Case("run_again", "run baseline.yaml adam.yaml augmented.yaml smooth.yaml net.yaml wild.yaml", 5),
    Case("run_again_strict", "run wild.yaml --strict", 5),
    Case("run_again_failed", "run broken.yaml --retry none", 1),
    Case("run_again_until_decided", "run --lab lab.yaml --question smooth --until-decided --max-seeds 4"),
    Case("run_again_other_looks", "run --lab lab.yaml --question smooth --until-decided --max-seeds 9", 2),
    Case("sweep_again", "sweep grid.yaml"),
    Case("sweep_again_halving", "sweep halving.yaml"),
)
"""Commands that were given before, or that are refused: nothing is trained, and no file but a chart is another."""

REPORT = Case("report", "report --lab lab.yaml --format html,md,csv,json,latex")
REPORT_CHECK = Case("report_check", "report --lab lab.yaml --check")

VERIFY_DAMAGE = Case("verify_damage", "verify", 3)
LIST_DAMAGE = Case("list_damage", "list --filter label=control", 0)
