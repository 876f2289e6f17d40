import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.simulator.backend.js_text import dump, frame, number, round_half_up, whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (140.0, "140"), (140.25, "140.25"), (0.000001, "0.000001"), (0.00001967, "0.00001967"),
        (1.5e-7, "1.5e-7"), (4.656542373906925e-10, "4.656542373906925e-10"), (0.1, "0.1"), (-2.0, "-2"),
        (777.5500000000001, "777.5500000000001"), (0, "0"), (1e16, "10000000000000000"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_javascript_does(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(min_value=-1e20, max_value=1e20))
def test_every_number_reads_back(value: float) -> None:
    assert json.loads(number(value)) == value


def test_text_is_not_escaped_in_vain() -> None:
    assert dump({"a": "\x02Æ\x00", "b": [whole(1.0), None]}) == '{"a":"\\u0002Æ\\u0000","b":[1,null]}'


def test_a_frame_has_spaces_at_the_top_level_only() -> None:
    assert frame([("a", '{"b":1}'), ("c", "2")]) == '{"a": {"b":1}, "c": 2}'


def test_halves_are_rounded_up() -> None:
    assert [round_half_up(value) for value in (0.5, 1.5, 2.4, -0.5)] == [1, 2, 2, 0]
