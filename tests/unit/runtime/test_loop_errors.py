import errno
import os
from typing import Any

import structlog

from hydrophone.runtime.loop_errors import LoopErrors


class Loop:
    """As much of an event loop as complains."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.passed_on: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.time_s

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.passed_on.append(context)


def refusal(number: int) -> dict[str, Any]:
    return {
        "message": "out of system resource",
        "exception": OSError(number, os.strerror(number)),
        "socket": 7,
    }


def test_that_nothing_can_be_accepted_is_said_once_a_minute() -> None:
    loop, errors = Loop(), LoopErrors()
    with structlog.testing.capture_logs() as logs:
        for second in range(121):
            loop.time_s = float(second)
            for _ in range(512):
                errors(loop, refusal(errno.EMFILE))  # type: ignore[arg-type] # as much as it uses
    assert [entry["event"] for entry in logs] == ["connections_not_accepted"] * 3
    assert logs[0]["error"] == os.strerror(errno.EMFILE)
    assert loop.passed_on == []


def test_all_else_goes_the_usual_way() -> None:
    loop, errors = Loop(), LoopErrors()
    others = [
        refusal(errno.EBADF),
        {"message": "a task was destroyed"},
        {"message": "in a callback", "exception": OSError(errno.EMFILE, "")},
    ]
    for context in others:
        errors(loop, context)  # type: ignore[arg-type] # as much as it uses
    assert loop.passed_on == others
