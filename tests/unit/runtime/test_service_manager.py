import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydrophone.runtime.service_manager import ServiceManager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.setblocking(False)
        yield bound


def heard(listener: socket.socket) -> list[str]:
    texts = []
    while True:
        try:
            texts.append(listener.recv(4096).decode())
        except BlockingIOError:
            return texts


def test_it_says_ready_what_it_does_that_it_lives_and_that_it_stops(listener: socket.socket) -> None:
    manager = ServiceManager(listener.getsockname())
    manager.ready("listening\nto two lines")
    manager.alive()
    manager.stopping()
    assert heard(listener) == [
        "READY=1\nSTATUS=listening to two lines",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_the_same_is_said_once_and_nothing_after_the_end_has_begun(listener: socket.socket) -> None:
    manager = ServiceManager(listener.getsockname())
    for status in ("one", "one", "two", "one"):
        manager.say(status)
    manager.stopping()
    manager.say("three")
    assert heard(listener) == ["STATUS=one", "STATUS=two", "STATUS=one", "STOPPING=1\nSTATUS=stopping"]


def test_a_socket_in_the_abstract_namespace_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("")  # the system picks a name there
        bound.setblocking(False)
        name = bound.getsockname()
        assert name[:1] == b"\0"
        ServiceManager("@" + name[1:].decode()).alive()
        assert heard(bound) == ["WATCHDOG=1"]


def test_nobody_is_told_when_nothing_is_set_and_nobody_there_is_no_failure(tmp_path: Path) -> None:
    manager = ServiceManager.from_environment({})
    assert not manager.is_listening
    manager.ready("alone")
    deaf = ServiceManager.from_environment({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert deaf.is_listening
    deaf.alive()


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_signs_of_life_are_wanted_when_the_environment_says_so_to_us(
    variables: dict[str, str], watchdog_s: float | None
) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": "/run/notify", **variables}, pid=7)
    assert manager.watchdog_s == watchdog_s


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative/path"])
def test_an_address_of_another_kind_is_nobody(address: str) -> None:
    assert not ServiceManager.from_environment({"NOTIFY_SOCKET": address}).is_listening
