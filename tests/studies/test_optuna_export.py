"""The export of a sweep opens in Optuna and says what the records say."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.execution.context import RunContext
from cifar_lab.store.results import RunFolder, read_records
from cifar_lab.studies.optuna_export import export_optuna
from cifar_lab.studies.run_sweep import make_sweep
from cifar_lab.studies.sweep import Sweep, load_sweep

BASE = """\
data: {dataset: synthetic, train_size: 180, test_size: 60, batch_size: 20, difficulty: 0.2}
epochs: 2
runtime: {device: cpu, threads: 1}
"""

SWEEP = """\
base: base.yaml
search: {seeds: [0, 1], confirm_seeds: [100], val_size: 60, top: 1, halving: {eta: 2, rungs: 2}}
space: {optimizer.lr: [0.05, 1e+38, 0.1], optimizer.betas: [[0.9, 0.99]], optimizer.name: [adam]}
arms: {as it is: {}}
"""


def write(folder: Path, text: str = SWEEP) -> Sweep:
    (folder / "base.yaml").write_text(BASE)
    (folder / "small sweep.yaml").write_text(text)
    return load_sweep(folder / "small sweep.yaml")


def opened(path: Path) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        (summary,) = optuna.get_all_study_summaries(storage)
        assert (summary.study_name, summary.direction) == ("small sweep", optuna.study.StudyDirection.MAXIMIZE)
        return optuna.load_study(study_name=summary.study_name, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.slow
def test_an_export_says_what_the_records_say(tmp_path: Path) -> None:
    sweep, results, path = write(tmp_path), tmp_path / "results", tmp_path / "study.db"
    with pytest.raises(DataError, match=r"results: no point of small sweep has finished yet; run the sweep first"):
        export_optuna(sweep, results, path)
    assert not path.exists()
    make_sweep(sweep, RunContext(results, workers=1))

    assert export_optuna(sweep, results, path) == 4
    by_label = {trial.user_attrs["label"]: trial for trial in opened(path)}
    assert list(by_label) == [point.name for point in sweep.expansion.points]
    records = {record.run_id: record for record in read_records(results)}
    states = optuna.trial.TrialState
    for name, trial in by_label.items():
        runs = [records.get(run) for run in trial.user_attrs["runs"]]
        assert len(runs) == 2
        curves = [RunFolder(results, run).read_metrics() for run in trial.user_attrs["runs"]]
        epochs = min(map(len, curves))
        assert trial.intermediate_values == {
            epoch + 1: sum(curve[epoch].val_accuracy or 0.0 for curve in curves) / 2 for epoch in range(epochs)
        }
        if trial.state == states.PRUNED:
            assert (trial.values, epochs) == (None, 1)
            continue
        finite = [run.val.accuracy if run and run.val else 0.0 for run in runs]
        assert trial.value == sum(finite) / 2
        assert trial.params == ({} if name == "as it is" else {
            "optimizer.lr": float(name.split()[1]), "optimizer.betas": "[0.9, 0.99]", "optimizer.name": "adam",
        })  # fmt: skip
    assert by_label[next(name for name in by_label if "1e+38" in name)].user_attrs["diverged"] == 2

    assert export_optuna(sweep, results, path) == 4  # an export may be made anew
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(SettingsError) as refused:
        export_optuna(sweep, results, other)
    assert str(refused.value) == f"--export-optuna: {other} exists and is not an export of a sweep; name another file"
    assert other.read_text() == "mine"
