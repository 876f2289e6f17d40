import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from hydrophone.cli import main
from hydrophone.domain.script import Network
from hydrophone.store.label_files import load_label_file

Capture = pytest.CaptureFixture[str]
TRUTH_ONLY = ("simulate", "--port", "0", "--scenario", "demo")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def truth_of(capsys: Capture, *arguments: str) -> tuple[bytes, dict[str, Any]]:
    assert main([*TRUTH_ONLY, "--truth", "truth.jsonl", "--json", *arguments]) == 0
    return Path("truth.jsonl").read_bytes(), json.loads(capsys.readouterr().out)


def test_the_same_flags_give_the_same_bytes(capsys: Capture) -> None:
    first, summary = truth_of(capsys, "--duration", "120", "--seed", "5")
    second, _ = truth_of(capsys, "--duration", "120", "--seed", "5")
    other, _ = truth_of(capsys, "--duration", "120", "--seed", "6")
    assert first == second
    assert first != other
    lines = [json.loads(line) for line in first.splitlines()]
    assert summary["transactions"] == len(lines) > 300
    assert summary["whales"] == sum(line["gross_sat"] > 10**10 for line in lines) > 5
    assert summary["blocks"] >= 1
    assert sum(summary["ends"].values()) == len(lines)


def test_what_the_flags_change_is_changed(capsys: Capture) -> None:
    _, calm = truth_of(capsys, "--duration", "100", "--rate", "1", "--whales-per-hour", "0")
    _, busy = truth_of(capsys, "--duration", "100", "--rate", "20", "--blocks-every", "5")
    assert calm["transactions"] < 400
    assert busy["transactions"] > 1_500
    assert busy["blocks"] > 8
    full, _ = truth_of(
        capsys, "--duration", "300", "--mempool-mb", "1", "--rate", "20", "--blocks-every", "9000"
    )
    assert b'"reason":"evicted"' in full
    old, _ = truth_of(capsys, "--duration", "300", "--expiry-hours", "0.02", "--blocks-every", "9000")
    assert b'"reason":"expired"' in old
    bumped, _ = truth_of(capsys, "--duration", "100", "--habit", "bump=1", "--habit", "bump_after_s=1")
    assert bumped.count(b'"end":"replaced"') > 100
    mean, _ = truth_of(capsys, "--duration", "100", "--mean")
    assert mean.count(b'"payjoin"') > 5


def test_labels_are_written_as_good_as_asked_for() -> None:
    main([*TRUTH_ONLY, "--duration", "1", "--labels-out", "all.csv", "--label-deposits", "1"])
    main([*TRUTH_ONLY, "--duration", "1", "--labels-out", "some.csv", "--label-deposits", "0.1"])
    main([*TRUTH_ONLY, "--duration", "1", "--labels-out", "test.csv", "--network", "testnet4"])
    counts = [len(Path(name).read_text().splitlines()) for name in ("all.csv", "some.csv")]
    assert counts[0] > 3_200
    assert counts[1] < 600
    assert load_label_file(Path("test.csv"), Network.TESTNET4).rejected == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(
    number: signal.Signals, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)

    def send_signal(bar: "tqdm[Any]", _passed_s: float) -> None:
        bar.n += 1
        if bar.n == 20:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(tqdm, "update", send_signal)
    truth, summary = truth_of(capsys, "--duration", "1e8")
    lines = [json.loads(line) for line in truth.splitlines()]
    assert truth.endswith(b"\n")
    assert summary["transactions"] == len(lines) > 0
    assert summary["ends"]["pending"] == sum(line["end"] == "pending" for line in lines) > 0
    assert signal.getsignal(number) == before


def test_people_get_a_sentence(capsys: Capture) -> None:
    assert main([*TRUTH_ONLY, "--duration", "30"]) == 0
    line = capsys.readouterr().out
    assert "transactions (" in line
    assert "above 100 BTC" in line


def test_a_served_simulation_ends_with_its_duration_and_writes_its_truth(capsys: Capture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    served = ("--speed", "100", "--duration", "60", "--truth", "deep/truth.jsonl")
    assert main(["simulate", "--port", port, "--scenario", "demo", *served]) == 0
    captured = capsys.readouterr()
    assert f"SIMULATED mempool at ws://localhost:{port}/api/v1/ws, seed " in captured.err
    assert "transactions" in captured.out
    assert len(Path("deep/truth.jsonl").read_bytes().splitlines()) > 100


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--rate", "-1"), "argument --rate: expected a number, 0 to 20000, found '-1'"),
        (("--rate", "many"), "found 'many'"),
        (("--rate", "nan"), "found 'nan'"),
        (("--blocks-every", "0"), "argument --blocks-every: expected a number, 1 or more, found '0'"),
        (("--blocks-every", "inf"), "found 'inf'"),
        (("--speed", "0"), "argument --speed"),
        (("--duration", "0"), "argument --duration"),
        (("--port", "70000"), "argument --port: expected a number, 0 to 65535, found '70000'"),
        (("--port", "80.5"), "expected a whole number, found '80.5'"),
        (("--seed", "x"), "argument --seed"),
        (("--scenario", "doom"), "argument --scenario: invalid choice: 'doom'"),
        (("--backend", "electrum"), "argument --backend"),
        (("--start", "5e9"), "expected a number, 0 to 4e+09, found '5e9'"),
        (("--habit", "bump"), "expected NAME=VALUE, found 'bump'"),
        (("--label-coverage", "2"), "expected a number, 0 to 1, found '2'"),
    ],
)
def test_a_bad_flag_is_exit_2_and_says_what_is_expected(
    arguments: tuple[str, ...], complaint: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*TRUTH_ONLY, "--duration", "1", *arguments])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--port", "0"), "expected --duration with --port 0"),
        (("--port", "0", "--duration", "1", "--habit", "bumb=1"), "expected a habit such as"),
        (("--port", "0", "--duration", "1", "--habit", "bump_after_s=0"), "expected bump_after_s above 0"),
        (("--port", "0", "--duration", "1", "--truth", "/proc/none/truth"), "cannot write /proc/none/truth"),
        (("--port", "0", "--duration", "99", "--truth", "/dev/full"), "cannot write /dev/full"),
        (("--port", "0", "--duration", "1", "--labels-out", "."), "cannot write ."),
    ],
)
def test_what_cannot_be_is_exit_2_in_one_line(
    arguments: tuple[str, ...], complaint: str, capsys: Capture
) -> None:
    assert main(["simulate", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_a_busy_port_is_exit_2_and_names_a_free_one(capsys: Capture) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert main(["simulate", "--port", str(port)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"port {port} of localhost is in use" in line
    assert "is free" in line


def test_the_scenarios_are_explained(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    page = capsys.readouterr().out
    for name in ("calm", "congested", "fee-spike", "reorg", "outage", "restart", "replacement-storm"):
        assert f"  {name} " in page
    for name in ("consolidation-season", "flood", "silence", "demo"):
        assert f"  {name} " in page
