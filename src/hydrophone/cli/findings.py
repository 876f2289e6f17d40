"""What was found about a service or its surroundings, and what to do about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from hydrophone.pipeline.connection import describe_duration

GB: Final = 1e9
MB: Final = 1e6
LOW_DISK_BYTES: Final = 1e9
"""# chosen: months of growth, and a checkpoint needs room beside the file."""
_NEARLY: Final = 0.9
_MALFORMED_NOTED: Final = 10
"""# chosen: a few odd messages are the source's own business."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Attributes:
        what: was looked at.
        level: how bad it is.
        text: what was found.
        advice: what to do about it; empty when it is well.
    """

    what: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        """As a line for people."""
        return f"{self.text}: {self.advice}" if self.advice else self.text

    def as_json(self) -> dict[str, object]:
        """As an object for programs."""
        return {
            "what": self.what,
            "level": self.level.value,
            "is_sound": self.level is not Level.BAD,
            "text": self.text,
            "advice": self.advice,
        }


def ok(what: str, text: str) -> Finding:
    """Return that something is well."""
    return Finding(what, Level.OK, text)


def warn(what: str, text: str, advice: str) -> Finding:
    """Return something that may become bad, or is less than it could be."""
    return Finding(what, Level.WARN, text, advice)


def bad(what: str, text: str, advice: str) -> Finding:
    """Return something that is bad."""
    return Finding(what, Level.BAD, text, advice)


def findings_of_report(report: Mapping[str, Any]) -> list[Finding]:
    """Return what a running service says of itself; what an older one does not say is left out."""
    return [
        *_of_source(report.get("source", {})),
        *_of_memory(report.get("memory", {})),
        *_of_queues(report.get("queues", {})),
        *of_storage(report.get("storage", {})),
        *_of_files(report.get("process", {})),
        *_of_accuracy(report.get("accuracy", {})),
        *_of_clients(report.get("alerts", {})),
    ]


def _of_source(source: Mapping[str, Any]) -> Iterator[Finding]:
    if "mempool_available" in source:
        if source["mempool_available"]:
            yield ok("mempool", source["message"])
        else:
            yield bad("mempool", source["message"], "look at the backend; the service resumes by itself")
    if source.get("malformed", 0) > _MALFORMED_NOTED:
        newest = "; ".join(source.get("malformed_newest", [])[-1:])
        yield warn(
            "malformed",
            f"{source['malformed']} parts of frames could not be read ({newest})",
            "was the backend updated? report it",
        )
    if source.get("lookups_refused", 0):
        yield warn(
            "lookups",
            f"{source['lookups_refused']} questions to the source were not asked: too many were under way",
            "does its REST answer? set source.rest_url",
        )


def _of_memory(memory: Mapping[str, Any]) -> Iterator[Finding]:
    if not memory:
        return
    used = f"{memory['rss_mb']:.0f} MB of {memory['shed_mb']:.0f}, at most {memory['peak_mb']:.0f} so far"
    advice = "see docs/operations.md, Memory; raise memory.shed_mb if the machine has more"
    if memory["level"] != "normal":
        yield bad("memory", f"short of memory for {memory['short_for_s']:.0f} s ({used})", advice)
    elif memory["times_short"]:
        yield warn("memory", f"{used}; it was short {memory['times_short']} times", advice)
    else:
        yield ok("memory", used)


def _of_queues(queues: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    full = {name: figures["full_for_s"] for name, figures in queues.items() if figures.get("full_for_s")}
    for name, seconds in full.items():
        yield bad("queue", f"{name} has been full for {seconds:.0f} s", "see docs/operations.md, Queues")
    if queues and not full:
        fullest = max(queues, key=lambda name: queues[name]["high_water"] / (queues[name]["capacity"] or 1))
        figures = queues[fullest]
        yield ok(
            "queues",
            f"none is full; the fullest ever was {fullest}: {figures['high_water']} of {figures['capacity']}",
        )


def of_storage(storage: Mapping[str, Any]) -> Iterator[Finding]:
    """Return whether there is room for the database to grow."""
    if storage.get("trouble"):
        yield bad("database", storage["trouble"], "counts are those of before; it tries again by itself")
    free, size = storage.get("free_bytes"), storage.get("file_bytes")
    if free is None:
        return
    beside = "" if size is None else f" beside a database of {describe_size(size)}"
    text = f"{describe_size(free)} free{beside}"
    if free < LOW_DISK_BYTES:
        yield bad(
            "disk", text, "make room, or lower store.retention_days; nothing is published while it is full"
        )
    elif size is not None and free < size:
        yield warn(
            "disk", text, "it may double before old history goes: make room, or lower store.retention_days"
        )
    else:
        yield ok("disk", text)


def _of_files(process: Mapping[str, Any]) -> Iterator[Finding]:
    used, limit = process.get("open_files"), process.get("file_limit")
    if used is None or limit is None:
        return
    text = f"{used} of {limit} open files"
    if used > _NEARLY * limit:
        yield bad("files", text, "raise the limit (LimitNOFILE=, ulimit -n), or lower alerts.max_clients")
    else:
        yield ok("files", text)


def _of_accuracy(accuracy: Mapping[str, Any]) -> Iterator[Finding]:
    if accuracy.get("low"):
        yield warn(
            "accuracy",
            f"{accuracy['within_p90']:.0%} of {accuracy['n']} confirmations came within P90",
            "see `hydrophone accuracy`",
        )


def _of_clients(alerts: Mapping[str, Any]) -> Iterator[Finding]:
    if "clients" in alerts:
        lost = f", {alerts['dropped']} messages dropped for slow ones" if alerts.get("dropped") else ""
        yield ok("clients", f"{alerts['clients']} connected{lost}")


def describe_size(size_bytes: float) -> str:
    """Return a size for people."""
    return f"{size_bytes / GB:.1f} GB" if size_bytes >= GB else f"{size_bytes / MB:.0f} MB"


def describe_age(seconds: float) -> str:
    """Return an age for people."""
    return f"{describe_duration(seconds)} ago"
