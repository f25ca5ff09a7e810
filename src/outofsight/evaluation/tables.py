"""An evaluation's tables, as text for a terminal, in Markdown and in LaTeX: mean over clips, and its 95 % interval.

A cell without a number was not measured, and the reason is given below the tables. Where fewer clips have a value than
were evaluated, their number is in the cell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io import replacing
from .baselines import SHUFFLED
from .predictions import first_lines, shown
from .protocols import Column, further_sheets, protocol_named
from .result import Evaluation, Row
from .scores import markdown_table

NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """A mean, its interval, and the number of clips where some have no value; all in words."""

    mean: str
    interval: str = ""
    clips: str = ""

    @property
    def words(self) -> str:
        return " ".join(part for part in (self.mean, self.interval, self.clips) if part)


@dataclass(frozen=True)
class Table:
    """headings and marks (arrows) by column; rows: label, whether a line is drawn above it, and cells."""

    title: str
    headings: tuple[str, ...]
    marks: tuple[str, ...]
    rows: tuple[tuple[str, bool, tuple[Cell, ...]], ...]


def tables(evaluation: Evaluation) -> list[Table]:
    """Every sheet of the protocol in which something was measured.

    Columns without any number are left out, but not those of a paper's table.
    """
    protocol = protocol_named(evaluation.settings["protocol"])
    reported = (evaluation.protocol or {}).get("reported") or {}
    found = []
    for sheet in (*protocol.sheets, *further_sheets(evaluation.definitions)):
        measured = [c for c in sheet.columns if any(_cell(row, c, 0) for row in evaluation.rows.values())]
        columns = measured if protocol.paper is None else list(sheet.columns)
        if not columns:
            continue
        rows, before = [], None
        for row in evaluation.rows.values():
            cells = tuple(_cell(row, column, len(evaluation.clips)) or Cell(NOTHING) for column in columns)
            label = shown(row.name) if row.kind == "prediction" else f"{row.name} ({row.kind})"
            rows.append((label, before not in (None, row.kind), cells))
            before = row.kind
        for n, (method, numbers) in enumerate(reported.items()):
            cells = tuple(_number(numbers.get(column.value), column) for column in columns)
            rows.append((f"{method} (reported)", n == 0, cells))
        headings, marks = tuple(c.heading for c in columns), tuple(c.mark for c in columns)
        found.append(Table(_title(sheet.title, evaluation), headings, marks, tuple(rows)))
    return found


def remarks(evaluation: Evaluation) -> list[str]:
    """What a reader of the tables must know: what is partial, not measured or skipped, and why; a line each."""
    told = []
    if evaluation.partial is not None:
        told.append(f"{partial_words(evaluation)}:")
        lines = [f"left out, {clip}: {why}" for clip, why in evaluation.partial["left_out"].items()]
        told += first_lines(lines + [f"ignored, {stray}" for stray in evaluation.partial["strays"]])
    if evaluation.protocol is not None:
        told += [f"not as in the paper: {line}" for line in evaluation.protocol["departures"]]
        told += evaluation.protocol["remarks"]
    for row in evaluation.rows.values():
        for reason, count in Counter(row.not_measured.values()).items():
            where = "" if count == len(evaluation.clips) else f" in {count} of {len(evaluation.clips)} clips"
            told.append(f"{row.name}: not measured{where}: {reason}")
    told += _skipped(evaluation)
    if evaluation.rows[SHUFFLED].clips:
        told.append(
            f"{SHUFFLED}: around the subject it is the truth itself, so it is a floor for who it is, not for pictures"
        )
    for source in dict.fromkeys(source for row in evaluation.rows.values() for source in row.boxes):
        names = ", ".join(row.name for row in evaluation.rows.values() if source in row.boxes)
        told.append(f"boxes of subjects in {names}: {source}")
    notes = Counter(note for clip in evaluation.clips.values() for note in clip["notes"])
    told += [f"{count} of {len(evaluation.clips)} clips: {note}" for note, count in notes.items()]
    sets = ((row.name, value["note"]) for row in evaluation.rows.values() for value in row.sets.values()
            if isinstance(value, dict) and value.get("note"))  # fmt: skip
    return [shown(line) for line in told + [f"{name}: {note}" for name, note in sets]]


def partial_words(evaluation: Evaluation) -> str:
    """The line above every table of a partial evaluation."""
    partial = evaluation.partial or {}
    if not partial["left_out"]:
        return "PARTIAL: videos that belong to no clip were ignored"
    return f"PARTIAL: {partial['clips']} of {partial['of']} clips"


# --- text -------------------------------------------------------------------------------------------------------


def text(evaluation: Evaluation) -> str:
    """Tables with the interval below each mean, and the remarks."""
    parts = [_text(table) for table in tables(evaluation)]
    return "\n\n".join([*parts, "\n".join(remarks(evaluation))]).strip() + "\n"


def _text(table: Table) -> str:
    lines: list[list[str]] = [["", *table.headings], ["", *table.marks]]
    for label, ruled, cells in table.rows:
        lines += [[]] if ruled else []
        lines.append([label, *(cell.mean for cell in cells)])
        below = ["", *(f"{cell.interval} {cell.clips}".strip() for cell in cells)]
        lines += [below] if any(below) else []
    widths = [max(len(line[n]) for line in lines if line) for n in range(len(table.headings) + 1)]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    drawn = [table.title, ""]
    for line in lines:
        padded = (word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True)) if line else ()
        drawn.append("  ".join([line[0].ljust(widths[0]), *padded]).rstrip() if line else rule)
    return "\n".join([*drawn[:4], rule, *drawn[4:]])


# --- Markdown ---------------------------------------------------------------------------------------------------


def markdown(evaluation: Evaluation) -> str:
    """A document: tables, remarks, definitions and costs."""
    names = ", ".join(shown(row.name) for row in evaluation.rows.values() if row.kind == "prediction")
    parts = [
        f"# {_escaped(names)} against {_escaped(shown(evaluation.against))}",
        f"Mean over {len(evaluation.clips)} clips [95 % interval, percentile bootstrap over clips]; (n): of n clips "
        f"alone. {UPS}. outofsight {evaluation.versions.get('outofsight', '')}, {evaluation.created}.",
    ]
    if evaluation.partial is not None:
        parts.insert(1, f"**{partial_words(evaluation)}**")
    for table in tables(evaluation):
        headings = [" ".join(filter(None, pair)) for pair in zip(table.headings, table.marks, strict=True)]
        rows = [(_escaped(label), [cell.words for cell in cells]) for label, _, cells in table.rows]
        parts += [f"## {table.title}", markdown_table(headings, rows, "---:|")]
    parts += ["## To know", "\n".join(f"- {_escaped(line)}" for line in remarks(evaluation))]
    used = {name for row in evaluation.rows.values() for scores in row.clips.values() for name in scores.values}
    defined = [(f"`{n}`", [_escaped(d["words"])]) for n, d in evaluation.definitions.items() if n in used]
    parts += ["## Definitions", markdown_table(["definition"], defined)]
    parts += ["## What it cost", cost_table(evaluation)]
    return "\n\n".join(parts) + "\n"


UPS = "↑ higher is better, ↓ lower, ≈ like the ground truth's"


def cost_table(evaluation: Evaluation) -> str:
    """Seconds of processor time of each metric, for a video and in all."""
    videos = sum(len(row.clips) for row in evaluation.rows.values())
    spent = sorted(evaluation.seconds.items(), key=lambda item: -item[1])
    spent.append(("all", sum(evaluation.seconds.values())))
    rows = [(name, [f"{seconds / max(videos, 1):.3f}", f"{seconds:.1f}"]) for name, seconds in spent]
    return markdown_table([f"seconds a video, of {videos}", "in all"], rows, "---:|")


def _escaped(words: str) -> str:
    return re.sub(r"([|<*`\[\]\\])", r"\\\1", words)


# --- LaTeX ------------------------------------------------------------------------------------------------------


def latex(evaluation: Evaluation) -> str:
    """One ``table`` for each table (packages booktabs and graphicx); the remarks are comments."""
    made = f"% outofsight {evaluation.versions.get('outofsight', '')}, {evaluation.created}; needs booktabs, graphicx"
    lines = [made, *(f"% {line}" for line in remarks(evaluation))]
    for table in tables(evaluation):
        headings = [f"{_tex(heading)} {_ARROWS.get(mark, '')}".strip() for heading, mark in
                    zip(table.headings, table.marks, strict=True)]  # fmt: skip
        body = []
        for label, ruled, cells in table.rows:
            # in braces, for a [ after \\ would be its argument
            row = " & ".join([f"{{{_tex(label)}}}", *map(_tex_cell, cells)])
            body += [*([r"\midrule"] if ruled else []), rf"{row} \\"]
        lines += [
            "", r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.title)}}}",
            r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{l{'r' * len(table.headings)}}}", r"\toprule",
            rf" & {' & '.join(headings)} \\", r"\midrule", *body, r"\bottomrule", r"\end{tabular}}", r"\end{table}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "≈": r"$\approx$"}
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_"},
}  # fmt: skip


def _tex(words: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in shown(words))


def _tex_cell(cell: Cell) -> str:
    small = f"{cell.interval} {cell.clips}".strip()
    mean = f"${cell.mean}$" if cell.mean != NOTHING else "--"
    return f"{mean} {{\\scriptsize {_tex(small)}}}" if small else mean


# --- cells ------------------------------------------------------------------------------------------------------


def save_tables(evaluation: Evaluation, result: Path) -> tuple[Path, Path]:
    """Write the Markdown and LaTeX files beside the result's JSON; raises OutputError."""
    files = result.with_suffix(".md"), result.with_suffix(".tex")
    for file, content in zip(files, (markdown(evaluation), latex(evaluation)), strict=True):
        with replacing(file) as beside:
            beside.write_text(content, encoding="utf-8")
    return files


def _cell(row: Row, column: Column, clips: int) -> Cell | None:
    if column.of_set:
        found = row.sets.get(column.value)
        number = found["distance"] if isinstance(found, Mapping) else found
        return None if number is None else Cell(f"{column.scale * number:.{column.places}f}")
    known = row.summary.get(column.value)
    if known is None:
        return None
    mean, low, high = (f"{column.scale * value:.{column.places}f}" for value in (known.mean, known.low, known.high))
    return Cell(mean, f"[{low}, {high}]", f"({known.clips})" if known.clips < clips else "")


def _number(value: float | None, column: Column) -> Cell:
    return Cell(NOTHING if value is None else f"{column.scale * value:.{column.places}f}")


def _title(title: str, evaluation: Evaluation) -> str:
    return title if evaluation.partial is None else f"{title} - {partial_words(evaluation)}"


def _skipped(evaluation: Evaluation) -> Sequence[str]:
    """Metrics by the reason why rows have none of them."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name in evaluation.definitions:
        reasons: dict[str, list[str]] = {}
        for row in evaluation.rows.values():
            if name in row.skipped:
                reasons.setdefault(row.skipped[name], []).append(row.name)
        for reason, rows in reasons.items():
            groups.setdefault((reason, tuple(rows)), []).append(name)
    measured = sum(bool(row.clips) for row in evaluation.rows.values())
    return [
        f"{', '.join(names)}: skipped{'' if len(rows) == measured else ' in ' + ', '.join(rows)}: {reason}"
        for (reason, rows), names in groups.items()
    ]
