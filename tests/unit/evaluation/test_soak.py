"""How a long run reads what the service says of itself."""

from collections import Counter
from pathlib import Path

import psutil

from evaluation.outcome_truth import Claim, Fault, judge_claims
from evaluation.soak import Place, log_lines, parse_figures, sample_of, set_evicted_aside
from hydrophone.wire.metrics import Metric, encode_metrics, gauge


def test_figures_are_read_as_they_are_spelled() -> None:
    queues = Metric(
        "queue_high_water",
        "gauge",
        "Most.",
        [("", {"queue": q}, n) for q, n in (("a", 7), ("b", 30), ("frame_bytes", 9_000))],
    )
    text = encode_metrics([gauge("alert_clients", "Clients.", 12), queues, gauge("uptime_seconds", "x", 1.5)])
    assert parse_figures(text.decode()) == {
        "alert_clients": 12,
        "queue_high_water": 30,
        "uptime_seconds": 1.5,
    }


def test_a_line_of_the_log_that_is_none_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "service.jsonl"
    log.write_text(
        '{"level":"warning","event":"source_unavailable"}\n'
        '{"level":"warning","event":"source_unavailable"}\n'
        "Traceback (most recent call last):\n"
        "[1]\n"
    )
    assert Counter(log_lines(log)) == {
        ("warning", "source_unavailable"): 2,
        ("error", "Traceback (most recent call last):"): 1,
        ("error", "[1]"): 1,
    }


def test_the_size_of_the_file_is_with_its_log(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.file_mb() == 0
    place.database.write_bytes(b"x" * 2**20)
    place.database.with_name("soak.db.wal").write_bytes(b"x" * 2**19)
    assert place.file_mb() == 1.5


def test_connections_of_others_are_no_descriptors_of_ours(tmp_path: Path) -> None:
    told = {"alert_clients": 2.0, "http_connections": 1.0, "queue_high_water": 30.0}
    told |= {"alert_dropped_total": 5.0, "alert_kicked_total": 1.0, "predictions_stored": 9.0}
    process = psutil.Process()
    sample = sample_of(process, told, Place(tmp_path), 20.0)
    alone = sample_of(process, told | {"alert_clients": 0.0, "http_connections": 0.0}, Place(tmp_path), 20.0)
    assert alone.descriptors - sample.descriptors == 3
    assert (sample.predictions, sample.pending, sample.queue_high_water, sample.kicked) == (9, 0, 30, 1)


def test_what_nobody_could_tell_of_the_evicted_is_set_aside_and_nothing_else() -> None:
    plain = {"kind": "payment", "gross_sat": 20_000_000_000, "end_at": 1.0, "block_height": None}
    evicted = {**plain, "end": "dropped", "replaced_by": None, "reason": "evicted"}
    expired = {**evicted, "reason": "expired"}
    confirmed = {**plain, "end": "confirmed", "block_height": 5, "replaced_by": None, "reason": None}
    truth = {"e": evicted, "f": evicted, "g": evicted, "x": expired, "c": confirmed}
    claims = [
        Claim("1", ("e", "c"), "confirmed", 5, None, 1),
        Claim("2", ("f",), "replaced", None, "c", 1),
        Claim("3", ("x",), "replaced", None, "c", 1),
        Claim("4", ("g",), "confirmed", 5, None, 1),
    ]
    verdict = judge_claims(claims, truth)
    assert set_evicted_aside(verdict) == 2
    assert [len(verdict.faults[fault]) for fault in (Fault.WRONG_VERSION, Fault.WRONG_OUTCOME)] == [0, 2]
