"""The table of `make bench`: what holds, what does not, and what nobody measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.bench_table import FULL, QUICK, Bar, On, Row, heading, not_measured, render, verdict

figures = st.floats(min_value=1e-3, max_value=1e6)


def row(value: float = 2.0, baseline: float = 8.0, bar: Bar | None = None) -> Row:
    return Row("ingest", "a step", value, "us", "json", baseline, 9, bar)


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (None, None),
        (Bar(0.25), True),
        (Bar(0.24), False),
        (Bar(2.0, On.VALUE), True),
        (Bar(1.9, On.VALUE), False),
        (Bar(4.0, On.SPEED_UP), True),
        (Bar(4.1, On.SPEED_UP), False),
    ],
)
def test_a_bar_is_about_value_ratio_or_speed_up(bar: Bar | None, holds: bool | None) -> None:
    assert row(bar=bar).holds is holds


@given(figures, figures)
def test_a_speed_up_is_a_ratio_turned_round(value: float, baseline: float) -> None:
    one = row(value, baseline)
    assert one.ratio is not None
    assert one.speed_up == pytest.approx(1 / one.ratio)


@pytest.mark.parametrize("bar", [Bar(1.0), Bar(1.0, On.SPEED_UP)])
def test_without_a_baseline_no_ratio_is_judged(bar: Bar) -> None:
    alone = Row("memory", "all", 100.0, "MB", bar=bar)
    assert (alone.ratio, alone.speed_up, alone.holds) == (None, None, None)


def test_a_line_says_value_baseline_ratio_bar_and_count() -> None:
    line = render([row(bar=Bar(7.0, On.SPEED_UP))])
    assert " ".join(line.split()) == "ingest: a step 2.00 us json 8.00 us 4.00x faster >= 7x faster NO 9"


def test_a_ratio_is_ours_by_the_baseline() -> None:
    assert render([row(bar=Bar(0.5))]).split()[8:] == ["0.25", "<=", "0.5", "yes", "9"]


def test_large_and_small_figures_keep_their_digits() -> None:
    lines = render(
        [Row("a", "b", value, "x") for value in (0.0, 0.0417, 0.5, 12.345, 123.45, 123456.7, -7.0)]
    )
    shown = [line.split()[2] for line in lines.splitlines()]
    assert shown == ["0", "0.0417", "0.50", "12.3", "123", "123,457", "-7.00"]


def test_what_was_not_measured_says_why_and_counts_as_nothing() -> None:
    blind = not_measured("broadcast", "time", "no C compiler (cc)")
    assert render([blind]).endswith("not measured: no C compiler (cc)")
    assert verdict([blind, row(bar=Bar(1.0)), row(bar=Bar(0.1))]) == (
        "1 of 2 bars hold, 1 lines not measured\n  missed: ingest: a step"
    )


def test_groups_stand_apart() -> None:
    assert render([row(), Row("store", "b", 1.0)]).count("\n\n") == 1


def test_the_machine_stands_above() -> None:
    lines = heading(["a machine"]).splitlines()
    assert lines[0] == "a machine"
    assert lines[2].split() == ["what", "ours", "against", "ratio", "bar", "holds", "n"]


def test_programs_get_the_ratio_too() -> None:
    told = row(bar=Bar(4.0, On.SPEED_UP)).as_json()
    assert (told["ratio"], told["speed_up"], told["holds"]) == (0.25, 4.0, True)
    assert told["bar"] == {"limit": 4.0, "on": "speed-up"}


def test_a_look_takes_less_than_the_whole() -> None:
    assert (QUICK.pick(1, 2), FULL.pick(1, 2)) == (1, 2)
