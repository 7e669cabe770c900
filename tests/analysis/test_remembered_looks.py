"""Looks at a results folder on the disk: by reports of lab files, as a reader gives them one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.interim_looks import StoppingPlan, plan_suffix, save_plan
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.questions import answer_lab
from cifar_lab.analysis.recount_looks import recount_looks
from cifar_lab.analysis.remembered_looks import Viewing
from cifar_lab.analysis.sentences import answer_sentences
from cifar_lab.config import Adam, AdamW, Settings
from cifar_lab.report.build import build_report
from cifar_lab.report.recheck import check_report
from cifar_lab.store.looks import LookBook, PairLooks, find_looks, looks_files, save_looks
from cifar_lab.store.records import Record
from cifar_lab.store.results import find_records

MakeRecord = Callable[..., Record]
SaveRecords = Callable[..., None]

ARMS = {
    "baseline": Settings(),
    "adam": Settings(optimizer=Adam(name="adam")),
    "adamw": Settings(optimizer=AdamW(name="adamw")),
}
ALL = Viewing()
SHIFTS = {"baseline": 0.0, "adam": 0.002, "adamw": 0.001}


class Folder:
    """A lab file with its results."""

    def __init__(self, path: Path, make_record: MakeRecord, save_records: SaveRecords) -> None:
        self.path, self.results = path, path / "results"
        self._make, self._save = make_record, save_records
        for name, text in (
            ("baseline", ""),
            ("adam", "optimizer: {name: adam}\n"),
            ("adamw", "optimizer: {name: adamw}\n"),
        ):
            (path / f"{name}.yaml").write_text(f"label: {name}\n{text}")
        self.lab()

    def lab(self, name: str = "lab.yaml", question: str = "q1", arms: str = "[adam.yaml]", more: str = "") -> Path:
        sheet = self.path / name
        sheet.write_text(
            f"title: A lab\ncontrol: baseline.yaml\nquestions:\n"
            f"  {question}: {{title: 'Better?', arms: {arms}, chart: {question}.png}}\n{more}"
        )
        return sheet

    def train(self, *seeds: int, arms: tuple[str, ...] = ("baseline", "adam")) -> None:
        for arm in arms:
            self._save(
                self.results,
                *(
                    self._make(
                        0.5 + SHIFTS[arm] + 0.01 * (seed * 7 % 5) + 0.004 * (seed % 3) * (arm != "baseline"),
                        seed,
                        ARMS[arm],
                    )
                    for seed in seeds
                ),
            )

    def report(self, name: str = "lab.yaml", viewing: Viewing = ALL) -> Lab:
        return answer_lab(self.path / name, self.results, viewing=viewing)

    def look(self, name: str = "lab.yaml") -> Comparison:
        return self.report(name).answers[0].comparisons[0]

    def plan(self, *looks: int) -> Path:
        control, arm = self.report(viewing=Viewing(shown=False)).answers[0].rows
        name = f"q1-{plan_suffix(control.fingerprint, control.key)}"
        plan = StoppingPlan(
            question=name, fingerprint=control.fingerprint, control=control.key, arms=(arm.key,), looks=looks
        )
        return save_plan(self.results, plan)

    @property
    def looks(self) -> list[int]:
        """Seeds of all looks that are remembered, of all pairs."""
        return [look.seeds for pair in find_looks(self.results).book.pairs for look in pair.looks]


@pytest.fixture
def folder(tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords) -> Folder:
    made = Folder(tmp_path, make_record, save_records)
    made.train(0, 1, 2)
    return made


def test_reports_on_the_same_runs_are_one_look_and_on_more_runs_another(folder: Folder) -> None:
    first = folder.look()
    assert (first.look, first.alpha, first.level, first.look_remembered) == (1, 0.03, 0.97, True)
    assert folder.look() == first
    folder.train(3)
    second = folder.look()
    assert (second.look, second.alpha) == (2, pytest.approx(0.01))
    assert folder.looks == [3, 4]


def test_too_few_runs_for_a_verdict_are_no_look(
    tmp_path: Path, make_record: MakeRecord, save_records: SaveRecords
) -> None:
    folder = Folder(tmp_path, make_record, save_records)
    folder.train(0, 1)
    folder.train(2, arms=("baseline",))
    assert folder.look().look is None
    assert not any(path.exists() for path in looks_files(folder.results))


def test_a_renamed_question_and_another_lab_file_forget_nothing(folder: Folder) -> None:
    folder.look()
    folder.train(3)
    folder.lab("other.yaml", question="renamed")
    (folder.path / "adam.yaml").write_text("label: another label\noptimizer: {name: adam}\n")
    assert folder.look("other.yaml").look == 2
    swapped = folder.lab("swapped.yaml", question="turned", arms="[baseline.yaml]")
    swapped.write_text(swapped.read_text().replace("control: baseline.yaml", "control: adam.yaml"))
    assert folder.look("swapped.yaml").look == 2  # the same runs in the other order
    folder.train(4)
    assert folder.look("swapped.yaml").look == 3


def test_a_check_makes_no_look(folder: Folder) -> None:
    sheet = folder.path / "lab.yaml"
    build_report(sheet, folder.results)
    assert check_report(sheet, folder.results)[1] == []
    folder.train(3)
    assert check_report(sheet, folder.results)[1] != []
    assert folder.looks == [3]
    build_report(sheet, folder.results)
    assert check_report(sheet, folder.results)[1] == []
    assert folder.looks == [3, 4]


def test_a_question_that_is_not_shown_is_not_looked_at(folder: Folder) -> None:
    folder.lab(more="  q2: {title: 'W?', arms: [adamw.yaml], chart: q2.png}\n")
    folder.train(0, 1, 2, arms=("adamw",))
    lab = folder.report(viewing=Viewing(question="q2", analysis=3))
    assert lab.family == 2
    assert len(folder.looks) == 1
    assert [answer.comparisons[0].look for answer in folder.report().answers] == [1, 1]
    assert len(folder.looks) == 2


def test_where_nothing_can_be_written_the_verdict_says_that_it_was_not_remembered(folder: Folder) -> None:
    (folder.results / ".looks").mkdir()  # no lock can be taken, by root neither
    lab = folder.report()
    assert not lab.answers[0].comparisons[0].look_remembered
    (sentence,) = answer_sentences(lab.answers[0])
    assert sentence.endswith(" This look was not remembered, because the results folder cannot be written.")
    assert folder.looks == []
    (folder.results / ".looks").rmdir()
    assert folder.look().look_remembered
    (folder.results / ".looks").mkdir()
    assert folder.look().look_remembered  # there is nothing new to remember


def test_a_run_that_was_counted_and_is_gone_is_named(folder: Folder) -> None:
    folder.train(3)
    counted = folder.report().answers[0]
    run = counted.rows[1].run_ids[3]
    (folder.results / "runs" / run / "record.json").unlink()
    (sentence,) = answer_sentences(folder.report().answers[0])
    assert sentence.endswith(f" 1 run of an earlier look is gone: {run}.")
    assert folder.look().look == 2
    for run in counted.rows[1].run_ids[:3]:
        (folder.results / "runs" / run / "record.json").unlink()
    (sentence,) = answer_sentences(folder.report().answers[0])
    assert sentence.startswith("adam: no runs yet. 4 runs of an earlier look are gone: ")


@pytest.mark.parametrize("which", [0, 1])
def test_one_copy_of_the_looks_is_enough_and_is_written_again(folder: Folder, which: int) -> None:
    folder.look()
    folder.train(3)
    folder.look()
    path = looks_files(folder.results)[which]
    path.write_bytes(path.read_bytes()[:100])
    folder.train(4)
    lab = folder.report()
    assert lab.answers[0].comparisons[0].look == 3
    assert [fault for fault in lab.faults if fault.startswith(f"{path}: is damaged; its copy ")]
    assert folder.report().faults == ()


def test_without_both_copies_there_is_no_verdict_until_the_reader_says_so(folder: Folder) -> None:
    folder.look()
    for path in looks_files(folder.results):
        path.write_bytes(b"{}")
    lab = folder.report()
    found = lab.answers[0].comparisons[0]
    assert (found.verdict, found.look, found.p_holm, found.level) == ("undecided", 0, 1.0, 0.95)
    assert (
        "the earlier looks cannot be read, and without them there is no verdict" in answer_sentences(lab.answers[0])[0]
    )
    assert "no verdict is given without the earlier looks; restore " in lab.faults[-1]
    assert all(path.read_bytes() == b"{}" for path in looks_files(folder.results))
    for path in looks_files(folder.results):
        path.unlink()
    assert folder.look().look == 1


def test_reports_at_once_lose_no_look(folder: Folder) -> None:
    folder.train(0, 1, 2, arms=("adamw",))
    pairs = [("baseline", "adam"), ("baseline", "adamw"), ("adam", "adamw")]
    for number, (control, arm) in enumerate(pairs):
        sheet = folder.lab(f"lab{number}.yaml", arms=f"[{arm}.yaml]")
        sheet.write_text(sheet.read_text().replace("control: baseline.yaml", f"control: {control}.yaml"))
    threads = [
        threading.Thread(
            target=answer_lab, args=(folder.path / f"lab{number % 3}.yaml", folder.results), kwargs={"viewing": ALL}
        )
        for number in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert folder.looks == [3, 3, 3]


def test_an_undecided_question_names_the_command_that_decides_it(folder: Folder) -> None:
    lab = folder.report()
    answer = lab.answers[0]
    assert answer.comparisons[0].verdict == "undecided"
    assert answer.comparisons[0].to_decide.startswith("run --question q1 --until-decided")
    assert f"`{answer.comparisons[0].to_decide}` adds seeds until it is decided" in answer_sentences(answer)[0]
    (command,) = lab.to_decide
    assert command.startswith(f"cifar-lab {answer.comparisons[0].to_decide} --lab {folder.path}/lab.yaml ")
    assert command.endswith(f"--results {folder.results}")


def test_a_plan_of_the_folder_counts_and_its_end_is_what_is_advised(folder: Folder) -> None:
    path = folder.plan(3, 5, 8)
    planned = folder.look()
    assert (planned.alpha, planned.interim_looks) == (pytest.approx(0.015), 3)
    assert planned.to_decide == "run --question q1 --until-decided --max-seeds 8"
    folder.train(3, 4, 5, 6, 7)
    ended = folder.look()
    assert ended.alpha == pytest.approx(0.015)
    assert ended.verdict != "undecided" or ended.to_decide.startswith("run --question q1 --seeds ")
    path.unlink()
    folder.train(8)
    lab = folder.report()
    assert lab.answers[0].comparisons[0].alpha == pytest.approx(0.003)
    assert [fault for fault in lab.faults if fault.startswith(f"{path}: is missing")]


# --- the recount ------------------------------------------------------------------------------------------------------


def forget_first(book: LookBook) -> LookBook:
    return changed(book, lambda pair: {"looks": pair.looks[1:]})


def loosen(book: LookBook) -> LookBook:
    return changed(book, lambda pair: {"looks": (pair.looks[0].model_copy(update={"alpha": 0.05}), *pair.looks[1:])})


def raise_accuracy(book: LookBook) -> LookBook:
    def raised(pair: PairLooks) -> dict[str, object]:
        first = pair.looks[0]
        runs = {run: accuracy + 0.1 for run, accuracy in first.runs.items()}
        late = {"runs": runs, "made": "2999-01-01T00:00:00+00:00"}
        return {"looks": (first.model_copy(update=late), *pair.looks[1:])}

    return changed(book, raised)


def change_seeds(book: LookBook) -> LookBook:
    return changed(book, lambda pair: {"looks": (pair.looks[0].model_copy(update={"seeds": 4}), *pair.looks[1:])})


def change_images(book: LookBook) -> LookBook:
    return changed(book, lambda pair: {"fingerprint": "0" * 64})


def changed(book: LookBook, change: Callable[[PairLooks], dict[str, object]]) -> LookBook:
    """The book with another first pair."""
    first, *others = book.pairs
    return book.model_copy(update={"pairs": (first.model_copy(update=change(first)), *others)})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (forget_first, "look 1: its level 0.01 is not that of look 1"),
        (loosen, "look 1: its level 0.05 is not that of look 1"),
        (raise_accuracy, "is not the test accuracy of run"),
        (change_seeds, "look 1: has 4 seeds on disk, which is not the number of its runs"),
        (change_images, "look 1: has runs of other arms or images"),
    ],
)
def test_edited_looks_differ_from_the_records(
    folder: Folder, change: Callable[[LookBook], LookBook], told: str
) -> None:
    folder.look()
    folder.train(3, 4)
    folder.look()
    records = find_records(folder.results).records
    assert list(recount_looks(folder.results, records)) == []
    save_looks(folder.results, change(find_looks(folder.results).book))
    lines = list(recount_looks(folder.results, records))
    assert any(line.startswith("looks.json: ") and told in line for line in lines), lines


def test_a_plan_that_follows_a_look_keeps_the_levels_by_the_rule(folder: Folder) -> None:
    folder.look()
    folder.plan(5, 8)
    folder.train(3, 4)
    assert folder.look().interim_looks == 2
    folder.train(5)
    folder.look()
    assert list(recount_looks(folder.results, find_records(folder.results).records)) == []
