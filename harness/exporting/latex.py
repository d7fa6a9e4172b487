"""LaTeX text, numbers for siunitx columns, and booktabs tables."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.core.quality import Interval
from harness.core.units import Absent

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_\allowbreak{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "−": "$-$", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "÷": r"$\div$", "²": "$^2$",
    "√": r"$\surd$", "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$", "→": r"$\to$",
    "∞": r"$\infty$", "σ": r"$\sigma$", "µ": r"$\mu$", "μ": r"$\mu$", "°": r"$^\circ$",
    "–": "--", "—": "---", "…": r"\dots{}", "’": "'", "‘": "`", "“": "``", "”": "''",
    "\u00a0": "~", "\n": " ", "\t": " ",
}  # fmt: skip
_LAST = 0x17F
"""The last character that T1 fonts have, besides the signs above: Latin Extended-A."""
DASH = "{--}"
"""The field of an absent value in a column of numbers."""
DAGGER, DOUBLE_DAGGER = "$^\\dagger$", "$^\\ddagger$"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is; characters without a glyph by their code points."""
    return "".join(_SIGNS.get(letter) or _print(letter) for letter in text)


def _print(letter: str) -> str:
    if ord(letter) <= _LAST:
        return letter if letter.isprintable() else " "
    plain = unicodedata.normalize("NFKD", letter)
    known = "".join(part for part in plain if ord(part) < 128)
    return known or f"[U+{ord(letter):04X}]"


def code(text: str) -> str:
    """Return text in typewriter letters."""
    return rf"\texttt{{{escape(text)}}}"


def verbatim(text: str) -> str:
    """Return text as typed, in small letters; what would end the environment is broken up."""
    shown = "".join(letter if letter == "\n" or ord(letter) < 127 else "?" for letter in text)
    shown = shown.replace(r"\end{Verbatim}", r"\end {Verbatim}").rstrip()
    options = "fontsize=\\scriptsize,breaklines,breakanywhere"
    return f"\\begin{{Verbatim}}[{options}]\n{shown}\n\\end{{Verbatim}}"


def round_figures(value: float, digits: int = 3) -> str:
    """Return a number with this many significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else DASH
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def round_places(value: float, places: int) -> str:
    """Return a number with this many decimals, without a negative zero."""
    return f"{round(value, places) + 0.0:.{places}f}"


def write_ends(value: Interval | Absent, write: "Writer") -> str:
    """Return the ends of an interval in brackets; empty for a point or an absent value."""
    if isinstance(value, Absent) or value.low == value.high:
        return ""
    return f"$[{write(value.low)}, {write(value.high)}]$"


class Writer(NamedTuple):
    """Writes numbers of one column: scaled, with significant digits or decimals."""

    scale: float = 1.0
    digits: int = 3
    places: int | None = None

    def __call__(self, value: float) -> str:
        scaled = value * self.scale
        if self.places is not None:
            return round_places(scaled, self.places)
        return round_figures(scaled, self.digits)


class TexColumn(NamedTuple):
    """A column: its heading, and l, r, c, a p column, or S, whose format follows from its
    numbers."""

    title: str
    kind: str = "l"


class Number(NamedTuple):
    """A number in an S column with its marks: the best is bold, a non-inferior one has a dagger."""

    text: str
    best: bool = False
    dagger: bool = False

    def __str__(self) -> str:
        bold = r"\bfseries " if self.best else ""
        return f"{bold}{self.text}{f'{{{DAGGER}}}' if self.dagger else ''}"


Field = str | Number
Row = Sequence[Field]


def tabular(columns: Sequence[TexColumn], blocks: Iterable[tuple[str, Sequence[Row]]]) -> str:
    """Return a booktabs tabular; each block of rows has a heading, or none if it is empty."""
    blocks = list(blocks)
    lines = _begin("tabular", columns, [row for _, block in blocks for row in block])
    for title, block in blocks:
        lines.append(r"\midrule")
        if title:
            heading = rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\emph{{{title}}}}}"
            lines += [rf"{heading} \\", r"\addlinespace[2pt]"]
        lines += [_join(row) for row in block]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def longtable(columns: Sequence[TexColumn], rows: Sequence[Row]) -> str:
    """Return a booktabs longtable, which breaks across pages and repeats its heading."""
    lines = _begin("longtable", columns, rows)
    lines += [r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *map(_join, rows)]
    return "\n".join([*lines, r"\end{longtable}"])


def _begin(kind: str, columns: Sequence[TexColumn], rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table up to its heading."""
    kinds = "".join(
        _find_format([row[index] for row in rows]) if column.kind == "S" else column.kind
        for index, column in enumerate(columns)
    )
    heads = [f"{{{column.title}}}" if column.kind == "S" else column.title for column in columns]
    return [rf"\begin{{{kind}}}{{@{{}}{kinds}@{{}}}}", r"\toprule", _join(heads)]


def _join(row: Row) -> str:
    return " & ".join(map(str, row)) + r" \\"


def fit(table: str, separation_pt: int) -> str:
    """Return a tabular in small letters that is scaled down where it is wider than the text."""
    return (
        f"\\small\\setlength{{\\tabcolsep}}{{{separation_pt}pt}}\n"
        f"\\begin{{adjustbox}}{{max width=\\textwidth}}\n{table}\n\\end{{adjustbox}}"
    )


def _find_format(fields: Sequence[Field]) -> str:
    """Return an S column as wide as its numbers."""
    texts = [str(field.text if isinstance(field, Number) else field) for field in fields]
    numbers = [text for text in texts if text and text[0] not in "{\\$"]
    signed = "-" if any(text.startswith("-") for text in numbers) else ""
    parts = [text.lstrip("-").partition(".") for text in numbers]
    before = max((len(whole) for whole, _, _ in parts), default=1)
    after = max((len(decimals) for _, _, decimals in parts), default=0)
    daggers = any(isinstance(field, Number) and field.dagger for field in fields)
    post = f",table-space-text-post={{{DAGGER}}}" if daggers else ""
    return f"S[table-format={signed}{before}.{after}{post}]"


class Float(NamedTuple):
    """A table or a figure of a paper with its caption and label; wide ones span both columns."""

    body: str
    caption: str
    label: str
    wide: bool = False

    def write(self, kind: str) -> str:
        """Return the environment; captions of tables stand above them."""
        name = f"{kind}*" if self.wide else kind
        caption = f"\\caption{{{self.caption}}}\n\\label{{{self.label}}}"
        parts = (caption, self.body) if kind == "table" else (self.body, caption)
        inner = "\n".join(parts)
        return f"\\begin{{{name}}}[tp]\n\\centering\n{inner}\n\\end{{{name}}}\n"
