"""What all tests share."""

import gc

from hypothesis import HealthCheck, settings

# No deadline: a busy machine is no bug. The number of examples is what a newcomer can wait for.
settings.register_profile(
    "suite", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

# Looking through all that lives, again and again while a test makes a world, took a sixth of the time of
# the suite. So it happens a tenth as often, and what was collected lives to the end and is left out.
_YOUNG, _MIDDLE, _OLD = gc.get_threshold()
gc.set_threshold(_YOUNG, _MIDDLE, 10 * _OLD)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # else the interpreter ends with what DuckDB counts as leaks
