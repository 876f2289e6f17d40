"""A few minutes of everything that goes wrong at once; `python -m evaluation.chaos` has hours of it."""

import pytest

from evaluation.chaos import run_one


@pytest.mark.parametrize(("name", "seed"), [("reorg", 2), ("restart", 1), ("mixed", 15), ("mixed", 6)])
def test_in_the_end_every_outcome_is_true(name: str, seed: int) -> None:
    done = run_one(name, seed, hours=0.1, calm_s=300)
    assert done.verdict.is_good, dict(done.verdict.faults)
    assert done.verdict.predictions >= 15
    assert done.verdict.ends["confirmed"] > 0
