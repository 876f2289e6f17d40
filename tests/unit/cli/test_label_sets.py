"""labels import, sync, export, and what becomes of them in stats, lookup and doctor."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hydrophone.bootstrap import import_labels, load_labels, sync_labels
from hydrophone.bootstrap import label_sets as bootstrap_sets
from hydrophone.cli import label_sets as cli_sets
from hydrophone.cli import main
from hydrophone.config import Settings
from hydrophone.domain.script import Network, address_from_script
from hydrophone.errors import SourceUnavailable
from tests.list_servers import listing, publishing, response

Capture = pytest.CaptureFixture[str]

BINANCE = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"
NOBODY = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TODAY = datetime.now(UTC).date().isoformat()


def address(number: int) -> str:
    found = address_from_script(b"\x00\x14" + number.to_bytes(20, "big"), Network.MAINNET)
    assert found is not None
    return found


def csv_of(*addresses: str, name: str = "Some Exchange") -> str:
    return "exchange_name,address,type\n" + "".join(f"{name},{found},hot\n" for found in addresses)


def cut_last_line(path: Path) -> None:
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-1]), encoding="utf-8")


def json_list(count: int) -> bytes:
    return json.dumps([address(number) for number in range(count)]).encode()


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result_of(capsys: Capture, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 -- JSON
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def run(arguments: list[str], publisher: Callable[[str], bytes]) -> tuple[int, list[str]]:
    """Run a command that fetches while a publisher answers; return its exit code and what was asked."""

    async def beside() -> tuple[int, list[str]]:
        async with publishing(publisher) as there:
            with_url = [there.url if argument == "URL" else argument for argument in arguments]
            return await asyncio.to_thread(main, with_url), there.requests

    return asyncio.run(beside())


# import


def test_a_file_is_imported_again_and_again(capsys: Capture) -> None:
    Path("mine.csv").write_text(csv_of(address(1), address(2), "nonsense"), encoding="utf-8")
    first = result_of(capsys, "labels", "import", "mine.csv")
    assert (first["name"], first["loaded"], first["new"]) == ("mine", 2, 2)
    assert [row["line"] for row in first["rejected"]] == [4]
    Path("mine.csv").write_text(csv_of(address(2), address(3)), encoding="utf-8")
    second = result_of(capsys, "labels", "import", "mine.csv")
    assert {name: second[name] for name in ("loaded", "new", "changed", "retired", "unchanged")} == {
        "loaded": 2,
        "new": 1,
        "changed": 0,
        "retired": 1,
        "unchanged": 1,
    }
    found = result_of(capsys, "labels", "lookup", address(1))
    [claim] = found["claims"]
    assert (claim["retired"], claim["valid_to"], claim["source"]) == (True, TODAY, "mine")
    assert (found["gives_direction"], found["why_not"]) == (False, "every claim is over, or has not begun")
    assert main(["labels", "lookup", address(1)]) == 0
    said = capsys.readouterr().out
    assert "RETIRED, counts for nothing" in said
    assert f"holds from ever until {TODAY}" in said
    stats = result_of(capsys, "labels", "stats")
    assert (stats["retired"], stats["by_source"]["mine"]) == (1, 3)
    assert stats["entities"]["Some Exchange"] == {
        "kinds": ["exchange"],
        "claims": 3,
        "scripts": 3,
        "roles": {"hot": 3},
        "oldest": None,
        "newest": None,
        "retired": 1,
        "disputed": 0,
    }
    assert main(["labels", "stats"]) == 0
    assert "33% retired" in capsys.readouterr().out


def test_an_import_says_what_it_makes_disputed(capsys: Capture) -> None:
    Path("mine.csv").write_text(csv_of(BINANCE), encoding="utf-8")
    assert main(["labels", "import", "mine.csv", "--name", "other"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("other: 1 labels: 1 new, 0 changed, 0 returned, 0 unchanged; 0 retired")
    assert "1 scripts have two owners now" in said.err
    assert result_of(capsys, "labels", "import", "mine.csv", "--name", "other")["newly_disputed"] == 0
    assert result_of(capsys, "labels", "lookup", BINANCE)["why_not"] == "the claims contradict each other"


def test_confidence_and_form_may_be_given(capsys: Capture) -> None:
    Path("mine.csv").write_text(csv_of(address(1)), encoding="utf-8")
    result_of(capsys, "labels", "import", "mine.csv", "--confidence", "0.4", "--format", "quickstart")
    [claim] = result_of(capsys, "labels", "lookup", address(1))["claims"]
    assert claim["confidence"] == 0.4
    assert main(["labels", "import", "mine.csv", "--format", "tagpack"]) == 2
    with pytest.raises(SystemExit):
        main(["labels", "import", "mine.csv", "--confidence", "2"])


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        (csv_of("nonsense"), [], "expected at least one label, found none in 1 bad and 0 skipped rows"),
        ("", [], "expected a first row"),
        (csv_of(address(1)), ["--name", "../x"], "expected a name of small letters"),
        (csv_of(address(1)), ["--name", "binance"], "the name of a list that is synced"),
        (
            csv_of(address(1)),
            ["--labels-folder", "mine.csv/x"],
            "labels.folder mine.csv/x: expected a folder",
        ),
    ],
)
def test_what_cannot_be_imported_is_exit_2(
    content: str, arguments: list[str], reason: str, capsys: Capture
) -> None:
    Path("mine.csv").write_text(content, encoding="utf-8")
    assert main(["labels", "import", "mine.csv", *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not list(Path().glob("data/labels/*.csv"))


def test_a_set_of_another_network_is_not_read(capsys: Capture) -> None:
    Path("mine.csv").write_text(csv_of(address(1)), encoding="utf-8")
    result_of(capsys, "labels", "import", "mine.csv")
    stats = result_of(capsys, "labels", "stats", "--network", "regtest")
    assert (stats["claims"], stats["rejected"]) == (0, 0)


# export


@pytest.mark.parametrize("form", ["csv", "tagpack"])
def test_what_is_exported_is_imported_as_the_same_claims(form: str, capsys: Capture) -> None:
    Path("mine.csv").write_text(csv_of(address(1)), encoding="utf-8")
    result_of(capsys, "labels", "import", "mine.csv")
    before = result_of(capsys, "labels", "stats")
    assert main(["labels", "export", "--format", form, "--out", "all"]) == 0
    assert capsys.readouterr().out == f"all: {before['claims']} claims of set {before['label_set']}\n"
    # Each claim names its source, so that the same one twice is still one and corroborates nothing.
    assert result_of(capsys, "labels", "import", "all")["loaded"] == before["claims"]
    after = result_of(capsys, "labels", "stats")
    assert (after["claims"], after["label_set"]) == (before["claims"], before["label_set"])


def test_an_export_that_cannot_be_written_is_exit_2(capsys: Capture) -> None:
    assert main(["labels", "export", "--format", "csv", "--out", "missing/x"]) == 2
    assert "cannot write missing/x: No such file or directory" in capsys.readouterr().err


def test_an_export_into_what_is_no_file_does_not_replace_it(capsys: Capture) -> None:
    Path("link").symlink_to("target")
    assert main(["labels", "export", "--format", "csv", "--out", "link"]) == 0
    assert Path("link").is_symlink()
    assert Path("target").read_text(encoding="utf-8").startswith("address,entity,")
    assert main(["labels", "export", "--format", "csv", "--out", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    assert main(["labels", "export", "--format", "csv", "--out", "."]) == 2
    assert "cannot write .: Is a directory" in capsys.readouterr().err


# sync


def test_the_lists_are_named_with_licence_size_and_place(capsys: Capture) -> None:
    found = result_of(capsys, "labels", "sync")
    assert {"binance", "htx", "ofac", "mining-pools"} <= {known["name"] for known in found}
    assert all(known["licence"] and known["size"] and known["url"].startswith("https://") for known in found)
    assert not any(known["synced"] or known["stale"] for known in found)
    assert main(["labels", "sync"]) == 0
    said = capsys.readouterr().out
    assert "binance " in said
    assert "not synced" in said


def test_nothing_is_fetched_before_somebody_agreed(capsys: Capture) -> None:
    code, asked = run(["labels", "sync", "ofac", "--url", "URL"], listing(json_list(3)))
    assert (code, asked) == (2, [])
    said = capsys.readouterr().err
    assert "licence  public domain" in said
    assert "agree to its licence and size with --yes" in said


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 2), ("no\n", 2), ("", 2)])
def test_on_a_terminal_it_asks(
    answer: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(cli_sets, "is_terminal", lambda: True)
    found, asked = run(["labels", "sync", "ofac", "--url", "URL"], listing(json_list(3)))
    assert found == code
    assert len(asked) == (1 if code == 0 else 0)
    assert "[y/N]" in capsys.readouterr().err


def test_a_list_is_synced_and_then_only_when_it_has_changed(capsys: Capture) -> None:
    async def scene() -> list[str]:
        async with publishing(listing(json_list(10), '"v1"')) as there:
            first = ["labels", "sync", "ofac", "--yes", "--url", there.url, "--json"]
            assert await asyncio.to_thread(main, first) == 0
            assert await asyncio.to_thread(main, ["labels", "sync", "ofac", "--json"]) == 0
            there.answer = listing(json_list(9), '"v2"')
            assert await asyncio.to_thread(main, ["labels", "sync", "ofac", "--json"]) == 0
            return there.requests

    asked = asyncio.run(scene())
    assert [f'If-None-Match: "{"v1"}"' in head for head in asked] == [False, True, True]
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["new"], second["not_modified"], third["retired"], third["loaded"]) == (10, True, 1, 9)
    [state] = [known for known in result_of(capsys, "labels", "sync") if known["name"] == "ofac"]
    assert (state["synced"], state["age_days"], state["stale"], state["checked_on"]) == (
        True,
        0,
        False,
        TODAY,
    )
    [claim] = result_of(capsys, "labels", "lookup", address(1))["claims"]
    assert (claim["kind"], claim["as_of"], claim["licence"]) == (
        "sanctioned",
        TODAY,
        "public domain (US government)",
    )
    assert claim["source_url"].startswith("http://127.0.0.1:")


def test_a_copy_that_somebody_changed_or_trusts_otherwise_is_fetched_anew(capsys: Capture) -> None:
    async def scene() -> list[str]:
        async with publishing(listing(json_list(10), '"v1"')) as there:
            first = ["labels", "sync", "ofac", "--yes", "--url", there.url, "--json"]
            assert await asyncio.to_thread(main, first) == 0
            again = ["labels", "sync", "ofac", "--json"]
            assert await asyncio.to_thread(main, [*again, "--confidence", "0.5"]) == 0
            cut_last_line(Path("data/labels/ofac.csv"))
            assert await asyncio.to_thread(main, again) == 0
            assert await asyncio.to_thread(main, again) == 0
            return there.requests

    asked = asyncio.run(scene())
    assert ["If-None-Match" in head for head in asked] == [False, False, False, True]
    _, second, third, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (second["changed"], third["new"], third["unchanged"]) == (10, 1, 9)
    [claim] = result_of(capsys, "labels", "lookup", address(1))["claims"]
    assert claim["confidence"] == 0.5


FAILURES = {
    "404": (response(status="404 Not Found"), "has the list moved"),
    "500": (response(status="500 Oh"), "try later"),
    "truncated": (response(json_list(10), length=10_000), "broke off"),
    "garbage": (response(b"<html>sorry</html>"), "expected one whole JSON document"),
    "empty": (response(b"[]"), "found none in 0 bad"),
    "other": (response(b'["nonsense"]'), "found none in 1 bad"),
    "shrunk": (response(json_list(6)), "had 10 labels and has 6 now, 40% fewer"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_fails_the_last_good_copy_is_kept(failure: str, capsys: Capture) -> None:
    answer, reason = FAILURES[failure]

    async def scene() -> int:
        async with publishing(listing(json_list(10))) as there:
            first = ["labels", "sync", "ofac", "--yes", "--url", there.url, "--json"]
            assert await asyncio.to_thread(main, first) == 0
            there.answer = lambda _head: answer
            return await asyncio.to_thread(main, ["labels", "sync", "ofac"])

    before = result_of(capsys, "labels", "stats")["label_set"]
    assert asyncio.run(scene()) == 3
    said = capsys.readouterr()
    assert reason in said.err
    stats = result_of(capsys, "labels", "stats")
    assert stats["by_source"]["ofac"] == 10
    assert (stats["retired"], stats["label_set"] != before) == (0, True)
    [state] = [known for known in result_of(capsys, "labels", "sync") if known["name"] == "ofac"]
    assert state["stale"]
    assert reason in state["failure"]
    main(["doctor", "--source", "recording:x", "--api-port", "0", "--json"])
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert not findings["sync"]["is_sound"]
    assert "try `hydrophone labels sync ofac`" in findings["sync"]["advice"]


def test_a_list_that_shrank_is_taken_when_somebody_says_so(capsys: Capture) -> None:
    async def scene() -> int:
        async with publishing(listing(json_list(10))) as there:
            await asyncio.to_thread(main, ["labels", "sync", "ofac", "--yes", "--url", there.url])
            there.answer = listing(json_list(7))  # 30 % fewer is not more than 30 %
            assert await asyncio.to_thread(main, ["labels", "sync", "ofac"]) == 0
            there.answer = listing(json_list(2))
            return await asyncio.to_thread(main, ["labels", "sync", "ofac", "--allow-shrink"])

    assert asyncio.run(scene()) == 0
    assert "2 labels: 0 new, 0 changed, 0 returned, 2 unchanged; 5 retired" in capsys.readouterr().out


async def test_a_publisher_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    ofac = next(known for known in bootstrap_sets.KNOWN_LISTS if known.name == "ofac")
    day = datetime.now(UTC).date()
    async with publishing(lambda _head: b"", stays_open=True) as there:
        with pytest.raises(SourceUnavailable, match="within 0 s"):
            await sync_labels(Settings(), ofac, day, url=there.url, timeout_s=0.2)
    assert not (tmp_path / "data").exists()


BINANCE_ANSWER = json.dumps(
    {"data": [{"network": "BTC", "address": address(1)}, {"network": "ETH", "address": "0x"}]}
)
LISTS = {
    "binance": (BINANCE_ANSWER, "Binance"),
    "htx": (f"coin,address,snapshot height,balance,message,signature\nBTC,{address(1)},1,1,huobi,x\n", "HTX"),
    "mining-pools": (json.dumps([{"name": "AntPool", "addresses": [address(1)]}]), "AntPool"),
    "graphsense-some_pack": (
        f"title: x\ncategory: exchange\nactor: kraken\ntags:\n- address: {address(1)}\n  label: Kraken\n",
        "Kraken",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_each_list_is_read_in_its_form(name: str, capsys: Capture) -> None:
    body, entity = LISTS[name]
    code, _ = run(["labels", "sync", name, "--yes", "--url", "URL"], listing(body.encode()))
    assert code == 0
    capsys.readouterr()
    [claim] = result_of(capsys, "labels", "lookup", address(1))["claims"]
    assert (claim["entity"], claim["source"]) == (entity, name)
    synced = [known["name"] for known in result_of(capsys, "labels", "sync") if known["synced"]]
    assert synced == [name]


def test_a_list_nobody_knows_is_exit_2(capsys: Capture) -> None:
    assert main(["labels", "sync", "nonsense", "--yes"]) == 2
    assert "there is no list 'nonsense': expected binance, htx" in capsys.readouterr().err


def test_lists_are_of_mainnet(capsys: Capture) -> None:
    arguments = ["labels", "sync", "ofac", "--yes", "--url", "URL", "--network", "regtest"]
    assert run(arguments, listing(json_list(3))) == (2, [])
    assert "ofac holds addresses of mainnet, and the network set is regtest" in capsys.readouterr().err


def test_a_list_that_was_not_asked_for_long_is_stale(capsys: Capture) -> None:
    run(["labels", "sync", "ofac", "--yes", "--url", "URL"], listing(json_list(3)))
    info = Path("data/labels/ofac.json")
    info.write_text(info.read_text().replace(f'"checked_on": "{TODAY}"', '"checked_on": "2026-01-01"'))
    capsys.readouterr()
    assert main(["labels", "sync"]) == 0
    assert "STALE, asked for on 2026-01-01" in capsys.readouterr().out


# The book


def test_a_recording_is_judged_by_the_labels_of_its_day(tmp_path: Path) -> None:
    Path("mine.csv").write_text(csv_of(address(1)), encoding="utf-8")
    day = datetime(2026, 11, 1, tzinfo=UTC).date()
    settings = Settings()
    import_labels(settings, Path("mine.csv"), day)
    Path("mine.csv").write_text(csv_of(address(2)), encoding="utf-8")
    import_labels(settings, Path("mine.csv"), day.replace(day=20))
    script = b"\x00\x14" + (1).to_bytes(20, "big")
    found = [load_labels(settings, on)[0].lookup(script) for on in (day, day.replace(day=20), None)]
    assert [len(claims) for claims in found] == [1, 0, 0]
