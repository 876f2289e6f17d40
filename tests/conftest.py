"""What all tests share."""

from hypothesis import HealthCheck, settings

# No deadline: a busy machine is no bug. The number of examples is what a newcomer can wait for.
settings.register_profile(
    "suite", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
