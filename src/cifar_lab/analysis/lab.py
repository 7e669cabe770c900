"""Lab: the answered questions of a report, with its records and the commands that lead on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.data_choice import DataSet
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class Lab:
    """All questions of a report, answered on one data set."""

    title: str
    data: DataSet | None
    """None where no arm has a run."""
    other_data: tuple[DataSet, ...]
    """Other data sets with runs of these arms, left out."""
    answers: tuple[Answer, ...]
    command: str = "cifar-lab report"
    """Command that makes this report again."""
    to_run: tuple[str, ...] = ()
    """Commands that train all missing runs."""
    min_effect: float = 0.3
    """Smallest difference that matters, in percentage points of test accuracy."""
    family: int = 0
    """Comparisons over which Holm adjusts: all of this report that have a p value."""
    test_reads: int = 0
    """Reads of the test split of these images: runs of the folder, arms of no question included, and attacks."""
    attack_reads: int = 0
    """Attacks among them."""
    data_note: str = ""
    """Reason for these images, where the control names others."""
    notes: tuple[str, ...] = ()
    """Run folders that are left out without harm, with the reason."""
    faults: tuple[str, ...] = ()
    """Damaged records and winners, each with the way to make it again."""
    records: Mapping[str, Record] = field(default_factory=dict)
    """Every record on these images by run id, those of searches included."""
    to_attack_first: tuple[str, ...] = ()
    """Commands that train what the questions of robustness miss, before it can be attacked."""
    to_decide: tuple[str, ...] = ()
    """Commands that add seeds to undecided questions until they are decided, one per question."""
    is_found: bool = False
    """Whether the comparisons were found in the folder and no lab file asked for them."""
    notices: tuple[str, ...] = ()
    """Sentences on the runs that the report has, and on those that it leaves out."""

    @property
    def has_answers(self) -> bool:
        """Whether the accuracies of two arms are compared anywhere."""
        return any(each.difference is not None for answer in self.answers for each in answer.comparisons)

    @property
    def has_distances(self) -> bool:
        """Whether distances are compared anywhere, which are not in percent."""
        return any(not answer.control.scale.is_share for answer in self.answers)

    @property
    def asked(self) -> tuple[Answer, ...]:
        """Answers with the control of their question: all but the pairs of other groups."""
        return tuple(answer for answer in self.answers if not answer.pairs_of)

    @property
    def shown(self) -> tuple[Answer, ...]:
        """Answers with a section. The one with the last finished run is first, the others follow in their order."""
        kept = [answer for answer in self.asked if self.is_found or answer.is_answered]
        compared = [answer for answer in kept if answer.comparisons]
        if not compared:
            return tuple(kept)
        last = max(compared, key=lambda answer: (self._finished(answer), -compared.index(answer)))
        return (last, *(answer for answer in kept if answer is not last))

    @property
    def unanswered(self) -> tuple[Answer, ...]:
        """Questions that miss the runs of their control, or of all other arms."""
        return tuple(answer for answer in self.asked if not (self.is_found or answer.is_answered))

    def pairs_of(self, answer: Answer) -> tuple[Answer, ...]:
        """Answers that compare its other groups with each other. Empty without groups."""
        return tuple(each for each in self.answers if each.pairs_of == answer.name)

    def _finished(self, answer: Answer) -> str:
        """Time of the last run of the arms beside the control."""
        ids = [run_id for row in answer.rows[1:] for run_id in row.run_ids]
        return max((self.records[run_id].finished for run_id in ids if run_id in self.records), default="")
