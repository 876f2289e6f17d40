"""What the service tells Prometheus: the report that people see, and how requests went."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hydrophone.domain.units import micros_from_datetime, seconds_from_micros
from hydrophone.web.rest import BUCKETS_S, RestServer
from hydrophone.wire.metrics import Metric, counter, gauge


def figures_of(report: Mapping[str, Any], rest: RestServer) -> list[Metric]:
    """Return all figures.

    Args:
        report: what `hydrophone status` shows.
        rest: the server, for how requests went.
    """
    source, alerts, predictions = report["source"], report["alerts"], report["predictions"]
    http = rest.server.counters
    return [
        Metric("build_info", "gauge", "The program.", (("", {"version": report["version"]}, 1),)),
        gauge("uptime_seconds", "Since the start.", report["uptime_s"]),
        gauge("resident_memory_megabytes", "Of the process.", report["memory_mb"]),
        gauge("simulated", "1 while what is heard is simulated.", int(report["simulated"])),
        gauge("source_connected", "1 while there is a connection.", int(source["connected"])),
        gauge("mempool_available", "1 while the mempool is heard.", int(source["mempool_available"])),
        gauge("source_last_frame_timestamp_seconds", "When it said something.", _at(source["last_frame_at"])),
        counter("source_frames_total", "Frames heard.", source["frames"]),
        counter("source_transactions_total", "Transactions heard.", source["transactions"]),
        counter("source_malformed_total", "Parts of frames that could not be read.", source["malformed"]),
        gauge("source_questions_open", "Questions to the source not answered yet.", source["questions_open"]),
        counter("source_lookups_refused_total", "Questions not asked: too many.", source["lookups_refused"]),
        gauge("predictions_stored", "Predictions in the database.", predictions["total"]),
        gauge("predictions_pending", "Of those, without an outcome yet.", predictions["pending"]),
        gauge("outcomes_stored", "Outcomes in the database.", predictions["outcomes"]),
        counter("signals_total", "Signals raised since the start.", predictions["signalled_since_start"]),
        gauge("gaps_stored", "Gaps in the database.", report["gaps"]),
        gauge("record_seq", "Newest entry of the record.", report["record_seq"]),
        gauge("alert_clients", "Clients of the alert websocket.", alerts["clients"]),
        counter("alert_messages_total", "Messages published.", alerts["messages"]),
        counter("alert_dropped_total", "Messages not delivered to slow clients.", alerts["dropped"]),
        counter("alert_kicked_total", "Clients disconnected because they took nothing.", alerts["kicked"]),
        *_queues(report["queues"]),
        gauge("labels_claims", "Claims in the labels that are used.", report["labels"]["claims"]),
        gauge("labels_learned", "Scripts learned from transactions.", report["labels"]["learned"]),
        gauge("http_connections", "Connections to this port.", rest.server.connection_count),
        Metric(
            "http_requests_total",
            "counter",
            "Requests answered, by operation and status.",
            tuple(
                ("", {"operation": name, "status": str(status)}, count)
                for (name, status), count in sorted(rest.answered.items())
            ),
        ),
        Metric("http_request_seconds", "histogram", "How long answers took.", tuple(_times(rest))),
        counter("http_refused_total", "Connections closed unheard: too many.", http.refused),
        counter("http_stalled_total", "Clients that did not take their answer.", http.stalled),
        counter("http_unreadable_total", "Requests that were no HTTP, or too large.", http.unreadable),
        counter("http_failed_total", "Answers that failed by a fault of ours.", http.failed),
        counter("http_late_total", "Answers that were not ready in time.", http.late),
        counter("http_unsent_total", "Requests refused: clients had yet to take too much.", http.unsent),
    ]


def _queues(queues: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    for name, text in (
        ("waiting", "Waiting now."),
        ("high_water", "Most that ever waited."),
        ("capacity", "As many may wait."),
    ):
        samples = tuple(("", {"queue": queue}, float(figures[name])) for queue, figures in queues.items())
        yield Metric(f"queue_{name}", "gauge", text, samples)


def _times(rest: RestServer) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for name, times in sorted(rest.times.items()):
        for most_s, count in zip(BUCKETS_S, times.buckets, strict=True):
            yield "_bucket", {"operation": name, "le": repr(most_s)}, count
        yield "_bucket", {"operation": name, "le": "+Inf"}, times.count
        yield "_sum", {"operation": name}, times.sum_s
        yield "_count", {"operation": name}, times.count


def _at(instant: str | None) -> float | None:
    """Return an instant as Prometheus has it: seconds since the epoch."""
    return (
        None
        if instant is None
        else seconds_from_micros(micros_from_datetime(datetime.fromisoformat(instant)))
    )
