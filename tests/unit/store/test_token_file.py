import json
from pathlib import Path

import pytest

from hydrophone.domain.access import Scope, digest_of_token
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import ConfigError
from hydrophone.store.token_file import TokenFile

NOW = UnixMicros(1_790_000_000_000_000)
KEPT = b'{"id":"a","name":"","scope":"read","sha256":"%s","created_at":"%s","expires_at":null}'


def test_a_token_is_kept_as_a_digest_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "tokens.json"
    token, text = TokenFile(path).create("desk", Scope.ADMIN, now=NOW, expires_at=UnixMicros(NOW + 1))
    assert text.startswith("hydrophone_")
    assert len(text) > 50
    assert text.removeprefix("hydrophone_") not in path.read_text()
    assert token.digest == digest_of_token(text)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TokenFile(path).load() == (token,)
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_no_token(tmp_path: Path) -> None:
    assert TokenFile(tmp_path / "tokens.json").load() == ()


def test_each_token_is_another(tmp_path: Path) -> None:
    kept = TokenFile(tmp_path / "tokens.json")
    made = [kept.create("", Scope.READ, now=NOW) for _ in range(20)]
    assert len({text for _, text in made}) == 20
    assert len({token.token_id for token, _ in made}) == 20
    assert kept.load() == tuple(token for token, _ in made)


def test_who_reads_sees_at_once_what_another_process_wrote(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    service, command = TokenFile(path), TokenFile(path)
    assert service.load() == ()
    token, _ = command.create("", Scope.READ, now=NOW)
    assert service.load() == (token,)
    command.revoke(token.token_id, now=UnixMicros(NOW + 5))
    [revoked] = service.load()
    assert revoked.is_over(UnixMicros(NOW + 5))
    assert not revoked.is_over(NOW)
    path.unlink()
    assert service.load() == ()


def test_revoking_twice_keeps_the_first_end(tmp_path: Path) -> None:
    kept = TokenFile(tmp_path / "tokens.json")
    token, _ = kept.create("", Scope.READ, now=NOW)
    first = kept.revoke(token.token_id, now=UnixMicros(NOW + 1))
    assert kept.revoke(token.token_id, now=UnixMicros(NOW + 9)) == first


def test_only_a_token_there_is_can_be_revoked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no token 'abc'"):
        TokenFile(tmp_path / "tokens.json").revoke("abc", now=NOW)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"version": 2, "tokens": []}',
        b'{"version":1,"tokens":[{}]}',
        b'{"version":1,"tokens":[' + KEPT % ("é".encode(), b"2026-09-21T14:13:20Z") + b"]}",
        b'{"version":1,"tokens":[' + KEPT % (b"0" * 64, b"2026-09-21T14:13:20") + b"]}",
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="expected a file of tokens"):
        TokenFile(path).load()


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="tokens"):
        TokenFile(tmp_path / "file" / "tokens.json").create("", Scope.READ, now=NOW)


def test_the_form_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token, _ = TokenFile(path).create("desk", Scope.READ, now=NOW)
    assert json.loads(path.read_text()) == {
        "version": 1,
        "tokens": [
            {
                "id": token.token_id,
                "name": "desk",
                "scope": "read",
                "sha256": token.digest,
                "created_at": "2026-09-21T14:13:20.000000Z",
                "expires_at": None,
            }
        ],
    }
