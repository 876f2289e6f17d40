import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from hydrophone.cli import main
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.units import Height
from tests.backends import HOST, free_port

CHECK = {
    "tip": 900_000,
    "tau_s": 600,
    "template_lag_s": 30,
    "waiting": [[50, 3_000_000]],
    "inflow": [[50, 2_000]],
}

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def market(tmp_path: Path) -> Path:
    path = tmp_path / "market.json"
    path.write_text(json.dumps(CHECK), encoding="utf-8")
    return path


def estimate(capture: Capture, *arguments: str) -> dict[str, Any]:
    assert main(["estimate", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capture.readouterr().out)
    return found


def test_the_worked_check(market: Path, capsys: Capture) -> None:
    found = estimate(capsys, "10", "--market", str(market), "--no-corrections")
    assert list(found["p_confirm"]) == ["1", "2", "3", "6", "12", "24"]
    assert found["p_confirm"]["1"] == pytest.approx(0.535, abs=0.001)
    assert found["predicted_confirmation_block"] == 900_001
    assert found["eta_p50_s"] < found["eta_p90_s"]
    assert (found["p_replaced"], found["p_dropped"]) == (0, 0)


def test_corrections_take_their_part(market: Path, capsys: Capture) -> None:
    plain = estimate(capsys, "100", "--market", str(market), "--no-corrections")
    corrected = estimate(capsys, "100", "--market", str(market))
    assert corrected["p_confirm"]["1"] == pytest.approx(0.96 * 0.9945 * plain["p_confirm"]["1"], abs=0.001)
    assert corrected["p_replaced"] > 0
    assert corrected["calibrated"] is False


def test_a_heavier_transaction_waits_longer(market: Path, capsys: Capture) -> None:
    light = estimate(capsys, "10", "--market", str(market))
    heavy = estimate(capsys, "10", "--market", str(market), "--weight", "900000")
    assert heavy["p_confirm"]["1"] < light["p_confirm"]["1"]


def test_in_words_it_says_so_too(market: Path, capsys: Capture) -> None:
    assert main(["estimate", "10", "--market", str(market), "--no-corrections"]) == 0
    out = capsys.readouterr().out
    assert "53.5%" in out
    assert "by block 900001" in out
    assert "uncalibrated" in out


def test_what_never_confirms_is_said_to_be_late(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "hopeless.json"
    path.write_text(json.dumps({"tip": 5, "waiting": [[50, 4e8]]}), encoding="utf-8")
    assert main(["estimate", "1", "--market", str(path)]) == 0
    assert "more than 36 blocks" in capsys.readouterr().out
    found = estimate(capsys, "1", "--market", str(path))
    assert found["predicted_confirmation_block"] is None
    assert found["eta_p50_s"] is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "is no JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "as tip, found None"),
        ('{"tip":1.5}', "a whole number as tip"),
        ('{"tip":1,"tau_s":0}', "tau_s above 0"),
        ('{"tip":1,"template_lag_s":-1}', "as template_lag_s, found -1"),
        ('{"tip":1,"waiting":7}', "a list of pairs as waiting"),
        ('{"tip":1,"waiting":[[1]]}', r"pairs [sat/vB, amount] in waiting"),
        ('{"tip":1,"inflow":[[1,"x"]]}', "as inflow's amount, found 'x'"),
        ('{"tip":1,"inflow":[[NaN,1]]}', "as inflow's rate, found nan"),
        ('{"tip":1' + "0" * 400 + "}", "from 0 to 2147483647 as tip, found 1000"),
        ('{"tip":1e300}', "as tip, found 1e+300"),
        ('{"tip":1,"tau_s":1e10}', "as tau_s, found 10000000000.0"),
        ('{"tip":1,"template_lag_s":1e10}', "as template_lag_s"),
        ('{"tip":1,"waiting":[[5,1e39]]}', "as waiting's amount, found 1e+39"),
        ('{"tip":1,"mined":[[1e13,1]]}', "as mined's rate"),
        ("[" * 200_000, "is no JSON"),
        ('{"market":null}', "expected a JSON object"),
    ],
)
def test_a_file_that_is_no_market_is_refused_with_the_reason(
    text: str, complaint: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    assert main(["estimate", "5", "--market", str(path)]) == 2
    assert complaint in capsys.readouterr().err


def test_the_largest_market_is_estimated_in(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "large.json"
    most = [[1e12, 1e15], [0, 1e15]]
    document = {"tip": 2**31 - 1, "tau_s": 1e9, "template_lag_s": 1e9, "waiting": most, "inflow": most}
    path.write_text(json.dumps(document | {"mined": most}), encoding="utf-8")
    assert estimate(capsys, "1e308", "--market", str(path))["p_confirm"]["24"] == 0


def test_a_saved_answer_of_the_service_is_a_market(tmp_path: Path, market: Path, capsys: Capture) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"at": None, "market": CHECK, "model": {}}), encoding="utf-8")
    assert estimate(capsys, "10", "--market", str(path)) == estimate(capsys, "10", "--market", str(market))


def test_a_missing_file_is_a_matter_of_configuration(tmp_path: Path, capsys: Capture) -> None:
    assert main(["estimate", "5", "--market", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("-1",), ("inf",), ("five",), ("5", "--weight", "0"), ("5", "--weight", "x")]
)
def test_what_is_no_rate_or_weight_is_refused(arguments: tuple[str, ...], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["estimate", *arguments])
    assert exit_.value.code == 2
    assert "expected a" in capsys.readouterr().err or arguments == ("-1",)


async def test_without_a_service_it_says_that_none_runs(capsys: Capture) -> None:
    port = str(await free_port())
    assert await asyncio.to_thread(main, ["estimate", "5", "--api-host", HOST, "--api-port", port]) == 3
    assert "no service runs" in capsys.readouterr().err


def test_with_a_service_its_market_and_what_it_learned_are_used(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Any] = {"market": None}
    monkeypatch.setattr(
        "hydrophone.cli.estimate.fetch_from_service", lambda _settings, _path: ("url", answers)
    )
    assert main(["estimate", "5"]) == 3
    assert "knows no fee market yet" in capsys.readouterr().err
    served = FeeMarket.from_rates([(50, 3e6)], [(50, 2_000)], tip=Height(7), mined=[(40, 1e6)])
    answers |= {"market": served.as_json(), "model": ModelState().as_json()}
    found = estimate(capsys, "10")
    assert found["predicted_confirmation_block"] == 8
    assert found["urgency_basis"] == "fee_market"
    answers["model"] = {"version": 99}
    assert main(["estimate", "5"]) == 2
    assert "of another version" in capsys.readouterr().err
