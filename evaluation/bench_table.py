"""The one table of `make bench`: figures, what they are measured against, what they must not exceed. Pure."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
_WIDTHS: Final = (58, 13, 48, 14, 16, 8, 9)
_HEADS: Final = ("what", "ours", "against", "ratio", "bar", "holds", "n")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long measuring may take.

    Attributes:
        is_full: for the figures that are kept; else for a look, within minutes.
    """

    is_full: bool = False

    def pick(self, quick: _T, full: _T) -> _T:
        """Return one of two counts."""
        return full if self.is_full else quick


QUICK: Final = Effort()
FULL: Final = Effort(is_full=True)


class On(StrEnum):
    """What a bar is about."""

    VALUE = "value"
    RATIO = "ratio"
    SPEED_UP = "speed-up"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure is held against.

    Attributes:
        limit: the most that value or ratio may be; the least that a speed-up may be.
        on: which of them.
    """

    limit: float
    on: On = On.RATIO


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ours, beside a baseline measured in the same run.

    Attributes:
        group: which part it is about.
        what: was measured.
        value: ours; None: it could not be measured, and the note says why.
        unit: of the value and of the baseline's.
        baseline: what it is measured against; empty: nothing, the bar is absolute.
        baseline_value: of it.
        count: measurements behind the value.
        bar: what it is held against; None: it is there to be seen.
        note: what else must be known.
    """

    group: str
    what: str
    value: float | None
    unit: str = ""
    baseline: str = ""
    baseline_value: float | None = None
    count: int = 0
    bar: Bar | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the baseline; None without one."""
        if self.value is None or not self.baseline_value:
            return None
        return self.value / self.baseline_value

    @property
    def speed_up(self) -> float | None:
        """The baseline by ours; None without one."""
        if not self.value or self.baseline_value is None:
            return None
        return self.baseline_value / self.value

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None: there is none, or nothing was measured."""
        if self.bar is None:
            return None
        match self.bar.on:
            case On.VALUE:
                return None if self.value is None else self.value <= self.bar.limit
            case On.RATIO:
                return None if self.ratio is None else self.ratio <= self.bar.limit
            case On.SPEED_UP:
                return None if self.speed_up is None else self.speed_up >= self.bar.limit

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**asdict(self), "ratio": self.ratio, "speed_up": self.speed_up, "holds": self.holds}


def not_measured(group: str, what: str, why: str) -> Row:
    """Return the line of something that could not be measured."""
    return Row(group, what, None, note=f"not measured: {why}")


def heading(machine: Sequence[str]) -> str:
    """Return what stands above the table."""
    return "\n".join([*machine, "", _line(_HEADS), _line(["-" * (width - 1) for width in _WIDTHS])])


def render(rows: Iterable[Row]) -> str:
    """Return the lines of some rows, a blank one between groups."""
    return "\n\n".join(
        "\n".join(_row_line(row) for row in group) for _, group in groupby(rows, lambda row: row.group)
    )


def verdict(rows: Sequence[Row]) -> str:
    """Return how many bars hold, and which do not."""
    held = [row for row in rows if row.holds is not None]
    missed = [f"{row.group}: {row.what}" for row in held if not row.holds]
    blind = sum(row.value is None for row in rows)
    text = f"{len(held) - len(missed)} of {len(held)} bars hold"
    if blind:
        text += f", {blind} lines not measured"
    return text + "".join(f"\n  missed: {each}" for each in missed)


def median_of(samples: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each."""
    return {name: statistics.median(values) for name, values in samples.items()}


def _row_line(row: Row) -> str:
    what = f"{row.group}: {row.what}"
    if row.value is None:
        return f"{what:<{_WIDTHS[0]}} {row.note}"
    against = ""
    if row.baseline_value is not None:
        against = f"{row.baseline} {_figure(row.baseline_value)} {row.unit}"
    holds = {True: "yes", False: "NO", None: ""}[row.holds]
    cells = [
        what,
        f"{_figure(row.value)} {row.unit}",
        against,
        _ratio(row),
        _bar(row),
        holds,
        f"{row.count:,}",
    ]
    return _line(cells) + (f" {row.note}" if row.note else "")


def _ratio(row: Row) -> str:
    if row.bar is not None and row.bar.on is On.SPEED_UP and row.speed_up is not None:
        return f"{_figure(row.speed_up)}x faster"
    return "" if row.ratio is None else _figure(row.ratio)


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    limit = f"{row.bar.limit:g}"
    match row.bar.on:
        case On.VALUE:
            return f"<= {limit} {row.unit}"
        case On.RATIO:
            return f"<= {limit}"
        case On.SPEED_UP:
            return f">= {limit}x faster"


def _figure(value: float) -> str:
    """Return three digits that matter, without an exponent."""
    if value == 0 or not abs(value) < 1e15:
        return f"{value:g}"
    digits = 2
    while digits and abs(value) >= 10 ** (3 - digits):
        digits -= 1
    return f"{value:,.{digits if abs(value) >= 0.1 else 4}f}"


def _line(cells: Iterable[str]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
