from __future__ import annotations

import pytest

from cifar_lab.report.cells import foreign_letters, latex


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50% & #1 $x$ a_b {c}", r"50\% \& \#1 \$x\$ a\_b \{c\}"),
        ("back\\slash ~ ^ <|>", r"back\textbackslash{}slash \textasciitilde{} \textasciicircum{} "
         r"\textless{}\textbar{}\textgreater{}"),
        ("[a] b", "{[}a] b"),  # \\[a] would be a length
        ("* b", "{*} b"),  # \\* is another end of a row
        ('a "b" `c`', r"a \symbol{34}b\symbol{34} \symbol{96}c\symbol{96}"),
        ("--set a---b", r"-\/-set a-\/-\/-b"),
        ("lr ≤ 0.1 → σ, 2 × α", r"lr $\leq$ 0.1 $\to$ $\sigma$, 2 $\times$ $\alpha$"),
        ("−0.3 ≈ 0", r"$-$0.3 $\approx$ 0"),
        ("two\nlines\x1b[1m", "two lines{[}1m"),
        ("naïve Łódź 学", "naïve Łódź 学"),
    ],
)  # fmt: skip
def test_latex_shows_text_as_it_is(text: str, escaped: str) -> None:
    assert latex(text) == escaped


def test_nothing_joins_to_a_dash() -> None:
    for count in range(2, 7):
        assert latex("-" * count) == r"-\/" * (count - 1) + "-"


def test_foreign_letters_are_those_that_pdflatex_stops_at() -> None:
    assert foreign_letters(["naïve Łódź “q” — … €", "α ≤ β"]) == ""
    assert foreign_letters(["学习", "习 😀 Ж"]) == "Ж习学😀"
