import socket
import stat
from pathlib import Path

import pytest

from hydrophone.runtime.local_socket import connect_to, is_friend, listen_at


def exchange(path: Path) -> bytes:
    with listen_at(path) as listener, connect_to(path) as client:
        server, _ = listener.accept()
        with server:
            assert is_friend(server)
            client.sendall(b"hello")
            return server.recv(10)


def test_who_connects_is_heard(tmp_path: Path) -> None:
    assert exchange(tmp_path / "socket") == b"hello"


def test_a_name_longer_than_the_system_takes_works_too(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    assert exchange(folder / "socket") == b"hello"


def test_only_its_owner_may_open_it(tmp_path: Path) -> None:
    with listen_at(tmp_path / "socket"):
        mode = (tmp_path / "socket").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) & 0o077 == 0


def test_what_an_earlier_service_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listen_at(path).close()
    assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        connect_to(path)
    assert exchange(path) == b"hello"


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("precious")
    with pytest.raises(OSError, match="in use"):
        listen_at(tmp_path / "socket")
    assert (tmp_path / "socket").read_text() == "precious"


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect_to(tmp_path / "socket")


class Peer(socket.socket):
    """A connection from another user."""

    def getsockopt(self, *_: object) -> bytes:  # type: ignore[override] # the form with a length alone
        return b"".join(number.to_bytes(4, "little") for number in (1234, 4321, 4321))


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not tell")
def test_another_user_is_no_friend() -> None:
    with Peer(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        assert not is_friend(peer)
