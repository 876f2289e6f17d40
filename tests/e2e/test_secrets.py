"""Whatever is logged, and whatever is told to clients, holds no token and no password."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.backends import Backend
from tests.builders import txid_of
from tests.e2e.program import addresses_of, hydrophone, started
from tests.faults.test_service_faults import FREE_PORTS, Alerts, Telling

PASSWORD = "correct-horse"
WRONG = "a-wrong-token-that-somebody-typed"


def status_with(url: str, token: str | None, query: str = "") -> tuple[int, bytes]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}api/v1/status{query}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_no_log_at_any_level_holds_a_token_or_a_password(tmp_path: Path) -> None:
    token = (await hydrophone("token", "create", "--scope", "read", cwd=tmp_path)).out.strip()
    assert len(token) > 20
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started(
            *("run", "--source", backend.url().replace("ws://", f"ws://operator:{PASSWORD}@")),
            *(*FREE_PORTS, "--access-require-tokens", "on", "--log-level", "debug"),
            cwd=tmp_path,
        ) as program,
    ):
        places = await addresses_of(program)
        connected = await program.logged("source_connected")
        assert "operator" not in json.dumps(connected)
        loop_free = [
            status_with(places.api_url, WRONG),
            status_with(places.api_url, None, f"?token={WRONG}"),
            status_with(places.api_url, token),
        ]
        assert [status for status, _ in loop_free] == [401, 401, 200]
        with pytest.raises(InvalidStatus):
            await connect(places.alerts_url, additional_headers={"Authorization": f"Bearer {WRONG}"})
        async with connect(places.alerts_url) as stranger:
            await stranger.send(json.dumps({"type": "authenticate", "token": WRONG}))
            assert "unauthorized" in str(await stranger.recv())
        header = {"Authorization": f"Bearer {token}"}
        async with connect(places.alerts_url, additional_headers=header) as client:
            telling.whales("a whale")
            await Alerts(aiter(client)).until("whale_alert", "a whale")
        assert (await program.stop())[0] == 0
    said = "\n".join([*map(json.dumps, program.log), *program.noise])
    assert txid_of("a whale") in said
    told = b"".join(body for _, body in loop_free).decode()
    assert f"***@{backend.url().removeprefix('ws://')}" in told
    for secret in (token, PASSWORD, WRONG, "operator"):
        assert secret not in said
        assert secret not in told
