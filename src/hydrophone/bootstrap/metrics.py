"""What the service tells Prometheus: the report that people see, how requests went, how long things took.

Names follow Prometheus, "Metric and label naming": base units, `_total` for what only grows.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from hydrophone.domain.units import micros_from_datetime, seconds_from_micros
from hydrophone.pipeline.timings import Timings, Way
from hydrophone.runtime.histogram import Histogram
from hydrophone.runtime.memory_guard import MB, Level
from hydrophone.web.rest import RestServer
from hydrophone.wire.metrics import Metric, by_label, counter, gauge

_LEVELS: Final = {level.value: place for place, level in enumerate(Level)}
_PERCENT: Final = 100

Report = Mapping[str, Any]


def figures_of(report: Report, rest: RestServer, timings: Timings) -> list[Metric]:
    """Return all figures.

    Args:
        report: what `hydrophone status` shows.
        rest: the server, for how requests went.
        timings: how long things took.
    """
    return [
        Metric("build_info", "gauge", "The program.", (("", {"version": report["version"]}, 1),)),
        gauge("uptime_seconds", "Since the start.", report["uptime_s"]),
        gauge("simulated", "1 while what is heard is simulated.", int(report["simulated"])),
        *_source(report["source"]),
        *_predictions(report, timings),
        *_latencies(timings),
        *_alerts(report["alerts"]),
        *_queues(report["queues"]),
        *_memory(report),
        *_store(report, timings),
        gauge("labels_claims", "Claims in the labels that are used.", report["labels"]["claims"]),
        gauge("labels_learned", "Scripts learned from transactions.", report["labels"]["learned"]),
        *_requests(rest),
    ]


def _source(source: Report) -> Iterator[Metric]:
    heard_at = _at(source["last_frame_at"])
    age_s = None if heard_at is None else max(0.0, time.time() - heard_at)
    yield gauge("source_connected", "1 while there is a connection.", int(source["connected"]))
    yield gauge("mempool_available", "1 while the mempool is heard.", int(source["mempool_available"]))
    yield gauge("source_last_frame_timestamp_seconds", "When it said something.", heard_at)
    yield gauge("source_last_frame_age_seconds", "Since it said something.", age_s)
    yield counter("source_frames_total", "Frames heard.", source["frames"])
    yield counter("source_transactions_total", "Transactions heard.", source["transactions"])
    yield counter("source_malformed_total", "Parts of frames that could not be read.", source["malformed"])
    yield gauge("source_questions_open", "Questions without an answer yet.", source["questions_open"])
    yield counter("source_lookups_total", "Questions asked.", source["lookups"])
    yield counter("source_lookups_refused_total", "Questions not asked: too many.", source["lookups_refused"])
    yield counter(
        "source_lookups_held_total", "Questions that waited: memory was short.", source["lookups_held"]
    )


def _predictions(report: Report, timings: Timings) -> Iterator[Metric]:
    counts, accuracy, blindness = report["predictions"], report["accuracy"], report["blindness"]
    yield gauge("predictions_stored", "Predictions in the database.", counts["total"])
    yield gauge("predictions_pending", "Of those, without an outcome yet.", counts["pending"])
    yield by_label("predictions_by_flow", "gauge", "Of those, by direction.", "flow", counts["by_flow"])
    yield gauge("outcomes_stored", "Outcomes in the database.", counts["outcomes"])
    yield counter("signals_total", "Signals raised since the start.", counts["signalled_since_start"])
    kinds = {kind: timings.outcomes[kind] for kind in ("confirmed", "replaced", "dropped")}
    yield by_label("outcomes_total", "counter", "Outcomes since the start.", "kind", kinds)
    yield counter("amendments_total", "Signals corrected since the start.", timings.amended)
    yield counter("reopened_total", "Predictions that came back, by a reorg for one.", timings.reopened)
    within = accuracy["within_p90"]
    share = within if isinstance(within, int | float) else None
    yield gauge("accuracy_within_p90_ratio", "Share of confirmations within P90, of the window.", share)
    yield gauge("accuracy_confirmations", "Confirmations in that window.", accuracy["n"])
    yield gauge(
        "accuracy_threshold_ratio", "Below it accuracy is low.", accuracy["threshold_percent"] / _PERCENT
    )
    yield gauge("accuracy_low", "1 while accuracy is low.", int(accuracy["low"]))
    yield gauge("gaps_stored", "Gaps in the database.", report["gaps"])
    yield gauge("blind_seconds", "Covered by gaps, of the last 90 days.", blindness["blind_s"])
    yield gauge("blind_period_seconds", "Of those days, since anything is known.", blindness["period_s"])
    unseen = blindness["blind_spot_rate"]
    yield gauge("mined_unseen_ratio", "Share of mined whales nobody had announced.", unseen.get("value"))
    yield gauge("mined_whales", "Whales in blocks that were read, of those days.", unseen["n"])
    yield gauge("record_seq", "Newest entry of the record.", report["record_seq"])


def _latencies(timings: Timings) -> Iterator[Metric]:
    for name, text, histograms in (
        (
            "signal_stored_seconds",
            "From the frame that announced a whale until it is stored.",
            timings.stored,
        ),
        ("signal_published_seconds", "Until it is handed to every client.", timings.published),
    ):
        yield Metric(name, "histogram", text, tuple(_by_way(histograms)))
    commits = tuple(_buckets(timings.commits, {}))
    yield Metric("store_commit_seconds", "histogram", "How long a batch took to be safe.", commits)


def _by_way(histograms: Mapping[Way, Histogram]) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for way, histogram in sorted(histograms.items()):
        labels = {"source": way.source, "looked_up": "yes" if way.looked_up else "no"}
        yield from _buckets(histogram, labels)


def _buckets(
    histogram: Histogram, labels: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for bound_s, count in zip(histogram.bounds_s, histogram.cumulated(), strict=True):
        yield "_bucket", {**labels, "le": repr(bound_s)}, count
    yield "_bucket", {**labels, "le": "+Inf"}, histogram.count
    yield "_sum", labels, histogram.sum_s
    yield "_count", labels, histogram.count


def _alerts(alerts: Report) -> Iterator[Metric]:
    yield gauge("alert_clients", "Clients of the alert websocket.", alerts["clients"])
    yield counter("alert_messages_total", "Messages published.", alerts["messages"])
    yield counter("alert_dropped_total", "Messages not delivered to slow clients.", alerts["dropped"])
    yield counter("alert_kicked_total", "Clients disconnected: they took nothing.", alerts["kicked"])
    yield counter("alert_refused_total", "Connections closed unheard: too many.", alerts["refused"])
    yield counter("alert_shed_total", "Clients disconnected: memory was short.", alerts["shed"])


def _queues(queues: Mapping[str, Mapping[str, float | None]]) -> Iterator[Metric]:
    for name, key, text in (
        ("queue_waiting", "waiting", "Waiting now."),
        ("queue_high_water", "high_water", "Most that ever waited."),
        ("queue_capacity", "capacity", "As many may wait."),
        ("queue_full_seconds", "full_for_s", "For how long it has been nine tenths full."),
    ):
        values = {queue: figures[key] or 0 for queue, figures in queues.items()}
        yield by_label(name, "gauge", text, "queue", values)


def _memory(report: Report) -> Iterator[Metric]:
    memory, process = report["memory"], report["process"]
    yield gauge("resident_memory_bytes", "Of the process.", memory["rss_mb"] * MB)
    yield gauge("resident_memory_peak_bytes", "The most that was seen.", memory["peak_mb"] * MB)
    yield gauge("memory_shed_threshold_bytes", "From here on caches are let go.", memory["shed_mb"] * MB)
    yield gauge("memory_limit_bytes", "More is never meant.", memory["limit_mb"] * MB)
    yield gauge("memory_level", "0 normal, 1 shedding, 2 look-ups wait too.", _LEVELS[memory["level"]])
    yield counter("memory_short_total", "Times that memory was short.", memory["times_short"])
    yield counter("memory_held_total", "Times that look-ups had to wait.", memory["times_held"])
    yield by_label("memory_shed_total", "counter", "Things let go.", "what", memory["shed"])
    for name, count in memory["kept"].items():
        yield gauge(name, "Kept in memory for clients that resume.", count)
    yield gauge(
        "open_files", "File descriptors in use; no value: none is left to count them.", process["open_files"]
    )
    yield gauge("open_files_limit", "File descriptors there may be.", process["file_limit"])
    yield gauge("threads", "Of the process.", process["threads"])


def _store(report: Report, timings: Timings) -> Iterator[Metric]:
    storage, retention = report["storage"], report["retention"]
    yield counter("store_commits_failed_total", "Batches tried again.", timings.failed_commits)
    is_readable = int(storage["trouble"] is None)
    yield gauge("store_readable", "0 while the database cannot be read: counts of it are old.", is_readable)
    yield gauge("store_file_bytes", "Of the database.", storage["file_bytes"])
    yield gauge("store_wal_bytes", "Of its log.", storage["wal_bytes"])
    yield gauge("store_free_bytes", "Free on its disk.", storage["free_bytes"])
    yield counter("history_removed_total", "Things too old to keep.", retention["removed_since_start"])
    done_at = _at(retention["done_at"])
    yield gauge("history_removed_timestamp_seconds", "When all that was due had been removed.", done_at)


def _requests(rest: RestServer) -> Iterator[Metric]:
    http = rest.server.counters
    yield gauge("http_connections", "Connections to this port.", rest.server.connection_count)
    answered = tuple(
        ("", {"operation": name, "status": str(status)}, float(count))
        for (name, status), count in sorted(rest.answered.items())
    )
    yield Metric("http_requests_total", "counter", "Requests answered, by operation and status.", answered)
    yield Metric("http_request_seconds", "histogram", "How long answers took.", tuple(_times(rest)))
    yield counter("http_refused_total", "Connections closed unheard: too many.", http.refused)
    yield counter("http_stalled_total", "Clients that did not take their answer.", http.stalled)
    yield counter("http_unreadable_total", "Requests that were no HTTP, or too large.", http.unreadable)
    yield counter("http_failed_total", "Answers that failed by a fault of ours.", http.failed)
    yield counter("http_late_total", "Answers that were not ready in time.", http.late)
    yield counter("http_unsent_total", "Requests refused: clients had yet to take too much.", http.unsent)


def _times(rest: RestServer) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for name, histogram in sorted(rest.times.items()):
        yield from _buckets(histogram, {"operation": name})


def _at(instant: str | None) -> float | None:
    """Return an instant as Prometheus has it: seconds since the epoch."""
    return (
        None
        if instant is None
        else seconds_from_micros(micros_from_datetime(datetime.fromisoformat(instant)))
    )
