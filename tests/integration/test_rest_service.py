"""The REST of a whole service on a simulated source: every path answers what its description says."""

import asyncio
import json
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import msgspec
import pytest
from structlog.testing import capture_logs

from hydrophone.bootstrap import engine
from hydrophone.bootstrap.access import check_access, is_open, make_access, token_file
from hydrophone.cli.asking import open_direct
from hydrophone.config import Settings, load_settings
from hydrophone.domain.access import Scope
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import ConfigError, StoreClosed
from hydrophone.pipeline.ports import StoreStatus
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.web.access import AccessDenied
from hydrophone.wire.rest_paths import OPERATIONS
from tests.integration.test_degradation import Client, is_alert, make_source, service, serving, url_of

NOW = UnixMicros(1_790_000_000_000_000)


def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with open_direct(Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


async def ask(client: Client, path: str) -> tuple[int, bytes]:
    return await asyncio.to_thread(fetch, client._addresses.page_url.rstrip("/") + path)


async def answer_when_counted(client: Client, path: str) -> tuple[int, bytes]:
    """Ask again while the history is still being counted, as just after a start."""
    while True:
        status, body = await ask(client, path)
        if status != 503:
            return status, body
        await asyncio.sleep(0.05)


async def test_every_path_answers_what_its_description_says(tmp_path: Path) -> None:
    async with serving(make_source()) as source, service(url_of(source.port), tmp_path) as client:
        await client.until_status("connected")
        txid = (await client.until(is_alert))["data"]["transaction_id"]
        _, raw = await ask(client, "/openapi.json")
        described = json.loads(raw)["paths"]
        assert described.keys() == {operation.path for operation in OPERATIONS}
        for operation in OPERATIONS:
            status, body = await answer_when_counted(client, operation.path.replace("{txid}", txid))
            assert status == 200, operation.path
            if operation.answer is None:
                assert b"hydrophone_signals_total" in body
                continue
            answer = msgspec.json.decode(body, type=operation.answer)
            plain = json.loads(body)
            assert json.loads(msgspec.json.encode(answer)) == plain, "nothing is sent that is not described"
        _, body = await answer_when_counted(client, "/api/v1/statistics")
        counted = sum(row["n"] for row in json.loads(body)["data"])
        _, body = await ask(client, "/api/v1/predictions?limit=1000")
        assert 1 <= counted <= len(json.loads(body)["data"])
        status, body = await ask(client, "/api/v1/predictions?format=csv&limit=2")
        assert body.splitlines()[0].startswith(b"prediction_id,transaction_id,status,")


async def prices_when_told(client: Client) -> dict[str, object]:
    while True:
        _, body = await ask(client, "/api/v1/prices")
        prices: dict[str, object] = json.loads(body)
        if prices["prices"] is not None:
            return prices
        await asyncio.sleep(0.05)


async def test_a_page_learns_what_it_shows_beside_whales(tmp_path: Path) -> None:
    source = make_source()
    source._simulation.backend.set_price(100_000.0, time.time())
    async with serving(source), service(url_of(source.port), tmp_path) as client:
        await client.until_status("connected")
        alert = (await client.until(is_alert))["data"]
        _, body = await ask(client, f"/api/v1/predictions/{alert['transaction_id']}")
        told = json.loads(body)
        assert (told["text"], told["explorer_url"]) == (alert["text"], alert["explorer_url"])
        prices = await prices_when_told(client)
        assert prices["prices"] == {"USD": 100_000.0}
        assert (prices["source"], prices["simulated"]) == ("mempool.space", True)
        _, body = await ask(client, "/api/v1/status")
        status = json.loads(body)
        assert (status["whale_threshold_btc"], status["explorer_url"]) == (100.0, "https://mempool.space/tx/")
        assert status["memory_mb"] == status["memory"]["rss_mb"] > 1
        assert status["latency"]["received_to_published_ms"].keys() == {"mempool.space"}
        assert status["label_age"] == dict.fromkeys(("oldest", "newest", "newest_age_days"))


async def test_while_the_database_cannot_be_read_the_status_says_so_and_what_it_held_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_source()) as source, service(url_of(source.port), tmp_path) as client:
        await client.until(is_alert)
        _, body = await answer_when_counted(client, "/api/v1/status")
        before = json.loads(body)
        assert before["storage"]["trouble"] is None

        async def refuse(_store: DuckDbStore) -> StoreStatus:
            raise StoreClosed("it was closed after an error")

        monkeypatch.setattr(DuckDbStore, "query_status", refuse)
        while (now := json.loads((await ask(client, "/api/v1/status"))[1]))["storage"]["trouble"] is None:
            assert now["uptime_s"] < 60
        assert now["storage"]["trouble"] == "it was closed after an error"
        assert now["predictions"]["total"] >= before["predictions"]["total"] >= 1
        status, figures = await ask(client, "/metrics")
        assert status == 200
        assert b"hydrophone_store_readable 0\n" in figures
        monkeypatch.undo()
        while json.loads((await ask(client, "/api/v1/status"))[1])["storage"]["trouble"] is not None:
            pass


async def test_while_the_database_does_not_answer_the_status_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_source()) as source, service(url_of(source.port), tmp_path) as client:
        await client.until(is_alert)
        await answer_when_counted(client, "/api/v1/status")

        async def hang(_store: DuckDbStore) -> StoreStatus:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        monkeypatch.setattr(engine, "COUNT_S", 0.05)
        monkeypatch.setattr(DuckDbStore, "query_status", hang)
        while (now := json.loads((await ask(client, "/api/v1/status"))[1]))["storage"]["trouble"] is None:
            assert now["uptime_s"] < 60
        assert "has not answered for 0.05 s" in now["storage"]["trouble"]
        assert now["predictions"]["total"] >= 1


def settings_with(tmp_path: Path, **flags: object) -> Settings:
    spelled = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(
        environment={}, flags={"access.tokens": str(tmp_path / "tokens.json"), **spelled}
    ).settings


@pytest.mark.parametrize(
    "flags",
    [
        {"api__host": "0.0.0.0"},
        {"alerts__host": "::"},
        {"access__require_tokens": "true"},
        {"access__behind_proxy": "true"},
    ],
)
def test_others_are_let_in_only_with_a_token(tmp_path: Path, flags: dict[str, object]) -> None:
    settings = settings_with(tmp_path, **flags)
    assert not is_open(settings)
    with pytest.raises(ConfigError, match="hydrophone token create"):
        check_access(settings)
    token, _ = token_file(settings).create("", Scope.READ, now=NOW)
    check_access(settings)
    token_file(settings).revoke(token.token_id, now=NOW)
    with pytest.raises(ConfigError, match="there is no token"):
        check_access(settings)


def test_this_machine_alone_needs_none(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    assert is_open(settings)
    check_access(settings)


def test_a_file_of_tokens_that_is_none_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("nonsense")
    with pytest.raises(ConfigError, match="expected a file of tokens"):
        check_access(settings_with(tmp_path))


def test_while_the_file_cannot_be_read_nobody_has_a_token_and_the_log_says_so_once(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, access__require_tokens="true")
    _, text = token_file(settings).create("", Scope.READ, now=NOW)
    access = make_access(settings, lambda: NOW)
    assert access.admit(f"Bearer {text}", "127.0.0.1").scope is Scope.READ
    (tmp_path / "tokens.json").write_text("nonsense")
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(AccessDenied):
                access.admit(f"Bearer {text}", "127.0.0.1")
    assert [entry["event"] for entry in logs] == ["tokens_unread"]
    (tmp_path / "tokens.json").unlink()
    _, text = token_file(settings).create("", Scope.READ, now=NOW)
    assert access.admit(f"Bearer {text}", "127.0.0.1").scope is Scope.READ
