"""Tables of a comparison: Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinelex.errors import InputError
from kinelex.evaluation.comparison.model import TOP1, Column, Comparison, Number
from kinelex.evaluation.published import Published
from kinelex.evaluation.rows import interval_text, spread
from kinelex.files.atomic import check_place, write_whole

_SIDE_BY_SIDE = 9  # columns, from which on a table of many numbers is turned
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "τ": r"$\tau$",
}


@dataclass(frozen=True)
class Entry:
    """One number as it stands in a table: ``74.1 ± 0.8``, with what stands smaller below it."""

    text: str
    interval: str = ""
    best: bool = False

    @classmethod
    def of(cls, column: Column, place: int) -> Entry:
        """The number of a group in a column.

        >>> column = Column("knn", "", "top-1", "", (Number((0.74, 0.75), (0.7, 0.78)),))
        >>> Entry.of(column, 0)
        Entry(text='74.5 ± 0.7', interval='70.0–78.0', best=True)
        """
        number = column.numbers[place]
        if number is None:
            return cls("–")
        return cls(spread(number.mean, number.sd), interval_text(number.interval), place in column.best())


def difference(number: Number | None) -> str:
    """Points more or less than the reference, with the 95 % interval over clips.

    >>> difference(Number((0.5,), None, -0.021, (-0.05, 0.01)))
    '−2.1 [−5.0, +1.0]'
    """
    if number is None or number.difference is None:
        return ""
    text = _signed(number.difference)
    if number.difference_interval is not None:
        text += f" [{', '.join(_signed(end) for end in number.difference_interval)}]"
    return text


def probabilities(number: Number | None) -> str:
    """McNemar's p of each seed.

    >>> probabilities(Number((0.5,), p=(0.0321, 0.0000001, 1.0)))
    '0.032, <0.001, 1'
    """
    if number is None:
        return ""
    return ", ".join(map(probability, number.p))


def probability(p: float) -> str:
    """A p value.

    >>> probability(0.0321), probability(1e-9)
    ('0.032', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.2g}"


def markdown(comparison: Comparison) -> str:
    """The table of the numbers, and that of the differences."""
    rows = [_row(comparison, place, "**{}**".format) for place in range(len(comparison.groups))]
    lines = [
        f"Top-1 and other rates in per cent, {comparison.dataset} {comparison.protocol}, "
        f"{comparison.counts['test']} test clips; {legend(comparison)}",
        "",
        *_markdown([_corner(comparison), *(c.name for c in comparison.columns)], rows),
    ]
    if len(comparison.groups) > 1:
        head = [f"against {reference_name(comparison)}"]
        for column in comparison.columns:
            head += [f"{column.name}, points [95 %]", "p"] if _has_p(column) else [f"{column.name}, points"]
        lines += ["", *_markdown(head, [_difference_row(comparison, i) for i in others(comparison)])]
    if comparison.published:
        names = {column.task: column.name for column in comparison.columns}
        rows = [[n.name, names[n.task], f"{n.top1:.1f}", _read_in(n)] for n in comparison.published]
        lines += ["", "Published, not measured here:", ""]
        lines += _markdown(["method", "task", "top-1", "read in"], rows, "---")
    lines += ["", *(f"- `{task}`: {rule}" for task, rule in rules(comparison).items())]
    return "\n".join(lines) + "\n"


def latex(comparison: Comparison) -> str:
    """The table of the numbers for a paper; it needs the package booktabs."""
    head = [_corner(comparison), *(column.name for column in comparison.columns)]
    caption = f"{comparison.dataset}, {comparison.protocol}; {legend(comparison)}"
    rows = [_row(comparison, i, r"<b>{}</b>".format) for i in range(len(comparison.groups))]
    papers = _published_rows(comparison)
    if len(head) > max(_SIDE_BY_SIDE, len(rows) + len(papers)):
        head, *rows = map(list, zip(head, *rows, *papers, strict=True))
        head[0], papers = "", []
    sources = dict.fromkeys(f"% {n.name} (published): {_read_in(n)}" for n in comparison.published)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            _latex_row(head),
            r"\midrule",
            *map(_latex_row, rows),
            *([r"\midrule", *map(_latex_row, papers)] if papers else []),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            *sources,
            "",
        ]
    )


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def csv_table(comparison: Comparison) -> str:
    """One line per group and number, rates as fractions of 1."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["group", "task", "metric", "mean", "sd", "runs", "low", "high", "difference", "difference_low"]
        + ["difference_high", "p", "values", "source"]
    )
    for column in comparison.columns:
        for group, number in zip(comparison.groups, column.numbers, strict=True):
            if number is not None:
                low, high = number.interval or (None, None)
                below, above = number.difference_interval or (None, None)
                cells = [number.mean, number.sd, len(number.values), low, high, number.difference]
                ends = [below, above, " ".join(map(_plain, number.p)), " ".join(map(_plain, number.values))]
                row = [group.name, column.task, column.metric, *(_plain(c) for c in cells + ends)]
                writer.writerow([*row, ""])
    for n in comparison.published:
        empty = [""] * 9
        writer.writerow([f"{n.name} (published)", n.task, TOP1, _plain(n.top1 / 100), *empty, _read_in(n)])
    return file.getvalue()


def legend(comparison: Comparison) -> str:
    """What stands in the table."""
    counts = {len(group.runs) for group in comparison.groups}
    if counts == {1}:
        return "one run each; best in bold"
    runs = f"{counts.pop()} seeds" if len(counts) == 1 else "the seeds"
    return f"mean ± standard deviation over {runs}; best in bold"


def rules(comparison: Comparison) -> dict[str, str]:
    """What is trained on what and what is measured, by task."""
    return {c.task: c.rule for c in comparison.columns if c.rule}


def others(comparison: Comparison) -> list[int]:
    """The groups that are compared with the reference."""
    return [place for place in range(len(comparison.groups)) if place != comparison.reference]


def reference_name(comparison: Comparison) -> str:
    """The group that the others are compared with."""
    return comparison.groups[comparison.reference].name


def _corner(comparison: Comparison) -> str:
    return "run" if all(len(group.runs) == 1 for group in comparison.groups) else "runs"


def _row(comparison: Comparison, place: int, bold: object) -> list[str]:
    cells = [Entry.of(column, place) for column in comparison.columns]
    strong = len(comparison.groups) > 1
    texts = [bold(cell.text) if cell.best and strong else cell.text for cell in cells]  # type: ignore[operator]
    return [comparison.groups[place].name, *texts]


def _difference_row(comparison: Comparison, place: int) -> list[str]:
    row = [comparison.groups[place].name]
    for column in comparison.columns:
        number = column.numbers[place]
        row += [difference(number), probabilities(number)] if _has_p(column) else [difference(number)]
    return row


def _published_rows(comparison: Comparison) -> list[list[str]]:
    """One row per method and variant, its top-1 below ours."""
    rows: dict[str, dict[str, str]] = {}
    for number in comparison.published:
        rows.setdefault(number.name, {})[number.task] = f"{number.top1:.1f}"
    columns = comparison.columns
    return [
        [f"{name} (published)", *(top1.get(c.task, "–") if c.metric == TOP1 else "–" for c in columns)]
        for name, top1 in rows.items()
    ]


def _read_in(number: Published) -> str:
    """The source with its address, and what it leaves open."""
    return f"{number.source}, {number.source.url}" + (f". {number.note}" if number.note else "")


def _has_p(column: Column) -> bool:
    return any(number is not None and number.p for number in column.numbers)


def _markdown(head: list[str], rows: list[list[str]], align: str = "---:") -> list[str]:
    lines = [head, ["---"] + [align] * (len(head) - 1), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


def _escaped(text: str) -> str:
    r"""Text for LaTeX; what stands between ``<b>`` and ``</b>`` is bold.

    >>> _escaped("<b>74.1 ± 0.8</b>"), _escaped("a_b 5 %")
    ('\\textbf{74.1 $\\pm$ 0.8}', 'a\\_b 5 \\%')
    """
    bold = text.startswith("<b>") and text.endswith("</b>")
    plain = text[3:-4] if bold else text
    plain = "".join(_LATEX.get(letter, letter) for letter in plain)
    return rf"\textbf{{{plain}}}" if bold else plain


def _signed(share: float) -> str:
    text = f"{100 * share:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _plain(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"


FILES = {"csv": csv_table, "md": markdown, "tex": latex}


def write_tables(comparison: Comparison, folder: str | Path, name: str) -> None:
    """Write the table alone, as ``NAME.csv``, ``.md`` and ``.tex``.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = Path(folder)
    check_place(folder, f"{folder} cannot be written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for ending, make in FILES.items():
            write_whole(folder / f"{name}.{ending}", make(comparison))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
