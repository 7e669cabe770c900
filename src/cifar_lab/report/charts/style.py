"""Style of all charts: colours and symbols of the arms, fonts, widths of text, files.

Figures and the charts of the page share the colours and symbols. The bytes do not depend on a matplotlibrc.

Colours are those of Okabe and Ito (2008), which readers with any colour vision can distinguish. No chart relies on them
alone.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font

from cifar_lab.core.text import plain

FigureFormat = Literal["png", "svg", "pdf"]
FIGURE_FORMATS: tuple[FigureFormat, ...] = get_args(FigureFormat)

DPI = 200
"""Resolution: 1,600 pixels wide, readable at half the size."""
MOST_PIXELS = 60_000
"""Largest height. Agg refuses 65,536 pixels, so taller charts have fewer dots per inch."""

INK, FAINT, GRID, SHADE = "#1f2328", "#5b636d", "#e4e7eb", "#eef0f3"
ALARM = "#b34700"
TITLE, LABEL, SMALL = 15.0, 11.0, 9.0
"""Font sizes, points."""
BASE_FONT = "DejaVu Sans"
"""Font that comes with matplotlib, so that charts are the same on every machine where it has the letters."""


@dataclass(frozen=True)
class ArmLook:
    """Colour and symbol of an arm, in figures and on the page."""

    color: str
    """On white paper, with a contrast of 4.5 as text."""
    letter: str
    marker: str
    """Name of the symbol in matplotlib."""
    symbol: str
    """Name of the symbol in Observable Plot."""


CONTROL = ArmLook("#6b737d", "○", "o", "circle")
ARMS = (
    ArmLook("#0068a8", "●", "o", "circle"),
    ArmLook("#b54700", "■", "s", "square"),
    ArmLook("#00795a", "◆", "D", "diamond2"),
    ArmLook("#9b3f83", "▲", "^", "triangle"),
    ArmLook("#7a5c00", "★", "*", "star"),
    ArmLook("#33669b", "⬢", "H", "hexagon"),
)
"""Looks of the arms, in the order of the rows. They repeat where there are more arms."""


def look(style: int) -> ArmLook:
    """Look of an arm by the index of its style, which is -1 for the control."""
    return CONTROL if style < 0 else ARMS[style % len(ARMS)]


MOST_NAMED = 8
"""Number of letters without a font that are named."""

_EAST_ASIAN = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ", "BOPOMOFO ")
"""First words of the Unicode names of letters that one font covers together."""
_NO_PICTURES = frozenset({"Last Resort High-Efficiency"})
"""Fonts that show every letter as a box."""
_REPRODUCIBLE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Metadata of each format without dates and versions."""


@contextlib.contextmanager
def style(texts: Iterable[str] = ()) -> Iterator[None]:
    """Apply the style. Fonts are chosen for the letters of `texts`, and a missing letter is a box without a warning."""
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        families = [BASE_FONT, *fonts_for(frozenset("".join(map(plain, texts))))]
        mpl.rcParams.update(
            {"font.family": families, "text.parse_math": False, "text.color": INK, "svg.hashsalt": "cifar-lab"}
        )
        yield


def figure_bytes(figure: Figure, kind: FigureFormat = "png", texts: Iterable[str] = ()) -> bytes:
    """Bytes of the figure in one of `FIGURE_FORMATS`. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    dpi = min(DPI, MOST_PIXELS / figure.get_figheight())
    with style(texts):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_REPRODUCIBLE[kind])
    return buffer.getvalue()


def unseen_letters(texts: Iterable[str]) -> str:
    """Letters that no font of this machine has, each once. On a chart they are boxes."""
    wanted = frozenset("".join(map(plain, texts)))
    known = _letters(BASE_FONT).union(*(_letters(name) for name in fonts_for(wanted)))
    return "".join(sorted(letter for letter in wanted if not letter.isspace() and ord(letter) not in known))


def boxes_words(texts: Iterable[str]) -> str:
    """Line on the letters that the charts show as boxes, and the font that helps. Empty without such letters."""
    unseen = unseen_letters(texts)
    if not unseen:
        return ""
    named = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in unseen[:MOST_NAMED])
    more = f" and {len(unseen) - MOST_NAMED} more" if len(unseen) > MOST_NAMED else ""
    east_asian = any(unicodedata.name(letter, "").startswith(_EAST_ASIAN) for letter in unseen)
    font = "Noto Sans CJK (on Debian: fonts-noto-cjk)" if east_asian else "a Noto font for them"
    return (
        f"no font on this machine has {named}{more}, so the charts show boxes there; install {font} and give the "
        "command again; report.html shows them where the reader's machine has a font"
    )


@lru_cache(maxsize=64)
def fonts_for(letters: frozenset[str]) -> tuple[str, ...]:
    """Fewest font families, by name, with the letters that the base font lacks."""
    missing = {ord(letter) for letter in letters if not letter.isspace()} - _letters(BASE_FONT)
    found = []
    for name in sorted({font.name for font in fontManager.ttflist} - _NO_PICTURES, key=_by_plainness):
        if not missing:
            break
        if covered := missing & _letters(name):
            found.append(name)
            missing -= covered
    return tuple(found)


def _by_plainness(name: str) -> tuple[bool, bool, str]:
    """Sort key: sans before serif before fixed width, since the letters of a chart should look alike."""
    return ("Mono" in name or "tt" in name, "Sans" not in name, name)


@lru_cache(maxsize=256)
def _letters(family: str) -> frozenset[int]:
    """Code points of the family's upright face."""
    entry = next((font for font in fontManager.ttflist if font.name == family and font.style == "normal"), None)
    return frozenset() if entry is None else frozenset(get_font(entry.fname).get_charmap())


class Measure:
    """Measurement of text on a figure."""

    def __init__(self, figure: Figure) -> None:
        self._dpi = figure.dpi
        self._renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]

    def inches(self, text: str, size: float, bold: bool = False) -> float:
        """Width of the widest line."""
        font = FontProperties(size=size, weight="bold" if bold else "normal")
        widths = (self._renderer.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n"))
        return float(max(widths)) / self._dpi

    def wrap(self, text: str, inches: float, size: float, lines: int, bold: bool = False) -> str:
        """Break into at most `lines` lines of about `inches`. Longer text ends in an ellipsis."""
        text = plain(text)
        if not text or (whole := self.inches(text, size, bold)) <= inches:
            return text
        letters = max(8, int(0.95 * len(text) * inches / whole))
        return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder=" …"))
