"""What a run writes down: metrics.csv, one line per logged step, and TensorBoard events where it is installed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError, TrainingError
from ..io import reason, replacing

# One line of metrics.csv, means over the steps since the line before: "step" (done), "loss", what the objective
# measures (NaN where no clip had any), "gradient_norm" (before clipping), "lr" (of the last step), "seconds" (of
# a step, on the clock), and "clips_per_second" over all processes where clips are counted.
Line = dict[str, float]


class MetricsLog:
    """metrics.csv, validation.csv and TensorBoard events in a run's folder.

    Args:
        out: the run's folder.
        columns: of metrics.csv, after "step".
        resumed_at: steps that the checkpoint has done; later lines, of the run that was cut off, are removed.
    """

    def __init__(self, out: Path, columns: Sequence[str], resumed_at: int = 0) -> None:
        self.path, self.validation = out / "metrics.csv", out / "validation.csv"
        cut_after(self.path, ["step", *columns], resumed_at)
        if self.validation.exists():
            cut_after(self.validation, None, resumed_at)
        self._board = _tensorboard(out / "tensorboard", resumed_at)

    def add(self, line: Line) -> None:
        append_row(self.path, list(line.values()))
        self._to_board(int(line["step"]), line)

    def add_validation(self, step: int, results: Mapping[str, float]) -> None:
        """A line of validation.csv."""
        if not self.validation.exists():
            cut_after(self.validation, ["step", *results], step)
        append_row(self.validation, [step, *results.values()])
        self._to_board(step, {f"validation/{name}": value for name, value in results.items()})

    def _to_board(self, step: int, values: Mapping[str, Any]) -> None:
        if self._board is not None:
            for name, value in values.items():
                if name != "step":
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def append_row(path: Path, values: Sequence[Any]) -> None:
    """One line, in a single write, so that a killed run leaves whole lines. Raises OutputError."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, text.getvalue().encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


def cut_after(path: Path, columns: Sequence[str] | None, step: int) -> None:
    """Keep the heading and the lines of steps up to ``step``; make the file where there is none.

    ``columns``: what the heading must be; None takes the file's.

    Raises:
        TrainingError: it is there and has other columns.
        OutputError: it cannot be written.
    """
    heading, rows = list(columns or []), list[list[str]]()
    if path.exists() and (lines := list(csv.reader(path.read_text(encoding="utf-8").splitlines()))):
        if columns is not None and lines[0] != heading:
            raise TrainingError(f"{path} has columns {','.join(lines[0])}, expected {','.join(heading)}: move it away")
        heading, *rows = lines
    whole = [row for row in rows if len(row) == len(heading) and row[0].isdigit() and int(row[0]) <= step]
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([heading, *whole])


def read_metrics(path: Path) -> list[Line]:
    """The lines of a run's metrics.csv. Raises TrainingError where it is missing or not one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := {"step", "loss", "seconds"} - set(reader.fieldnames or ()):
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            return [{"step": int(row.pop("step")), **{name: float(row[name]) for name in row}} for row in reader]
    except (OSError, ValueError, TypeError) as cause:
        raise TrainingError(f"{path} cannot be read as a run's metrics ({cause})") from cause


def _tensorboard(folder: Path, resumed_at: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra [train]; metrics.csv has the same numbers
        return None
    return SummaryWriter(str(folder), purge_step=resumed_at + 1)
