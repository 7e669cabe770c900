"""Text written by people, as LaTeX shows it; and the letters that pdfLaTeX has none for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cifar_lab.core.text import plain

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "η": "eta", "θ": "theta", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "ω": "omega",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Π": "Pi", "Σ": "Sigma", "Ω": "Omega",
}  # fmt: skip
_SIGNS = {
    "≈": "approx", "≤": "leq", "≥": "geq", "≠": "neq", "→": "to", "←": "leftarrow", "∞": "infty", "∈": "in",
    "·": "cdot", "×": "times", "±": "pm", "−": "-",
}  # fmt: skip
_ESCAPES = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    # After the end of a row \\ reads a star and a bracket as its own; two hyphens would join to a dash.
    | {"[": "{[}", "*": "{*}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\symbol{34}", "`": r"\symbol{96}"}
    | {letter: "$-$" if name == "-" else f"$\\{name}$" for letter, name in (_GREEK | _SIGNS).items()}
)
_LAST_OF_LATIN = "\u017f"
"""LaTeX itself knows the letters up to here (T1 encoding, UTF-8 input)."""
_KNOWN_MARKS = frozenset("‐‑–—‘’‚“”„†‡•…‰‹›€™")


def latex(text: str) -> str:
    """Text that LaTeX (UTF-8 input) shows as it is, in a cell or a caption, whatever the font encoding."""
    return re.sub("-(?=-)", r"-\\/", plain(text).translate(_ESCAPES))


def foreign_letters(texts: Iterable[str]) -> str:
    """The letters that pdfLaTeX stops at, each once; LuaLaTeX and XeLaTeX show them where a font has them."""
    letters = {letter for text in texts for letter in plain(text)}
    known = _KNOWN_MARKS | _GREEK.keys() | _SIGNS.keys()
    return "".join(sorted(letter for letter in letters - known if letter > _LAST_OF_LATIN and not letter.isspace()))
