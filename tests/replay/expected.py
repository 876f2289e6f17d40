"""The committed recordings, and what they make us say."""

import gzip
from pathlib import Path
from typing import Any

from tests.recorded import EXCERPT, EXCERPT_LABELS

Summary = tuple[str, str, str | None]
"""A message in short: its type, the beginning of its txid, the status it tells."""

EXCERPT_MESSAGES: list[Summary] = [
    ("whale_alert", "5c4d106a", None),
    ("whale_alert", "fa2421ed", None),
    ("whale_alert", "2da29f62", None),
    ("whale_alert", "3efc748d", None),
    ("whale_alert", "fc6f91f5", None),
    ("status_update", "fc6f91f5", "replaced"),
    ("whale_alert", "84156c26", None),
    ("status_update", "84156c26", "replaced"),
    ("whale_alert", "dc42e41a", None),
    ("whale_alert", "4fd6e487", None),
    ("status_update", "4fd6e487", "confirmed"),
    ("status_update", "dc42e41a", "confirmed"),
    ("status_update", "fa2421ed", "confirmed"),
    ("status_update", "5c4d106a", "confirmed"),
    ("status_update", "2da29f62", "confirmed"),
    ("status_update", "3efc748d", "confirmed"),
    ("whale_alert", "384ba5a6", None),
    ("status_update", "384ba5a6", "confirmed"),
]
"""What the excerpt makes us say; its backend sends prevouts."""

EXCERPT_FLOWS = {
    "5c4d106a": "unknown",
    "fa2421ed": "inflow",
    "2da29f62": "outflow",
    "3efc748d": "internal",
    "fc6f91f5": "unknown",
    "84156c26": "unknown",
    "dc42e41a": "unknown",
    "4fd6e487": "inflow",
    "384ba5a6": "unknown",
}
"""Its flows, by the labels that come with it."""

NONE_MESSAGES: list[Summary] = [
    ("whale_alert", "c669f824", None),
    ("whale_alert", "2fb97865", None),
    ("whale_alert", "f3fd3011", None),
    ("whale_alert", "4e2ca255", None),
    ("whale_alert", "ea2f55e7", None),
    ("status_update", "ea2f55e7", "replaced"),
    ("whale_alert", "51bd9ee4", None),
    ("status_update", "51bd9ee4", "replaced"),
    ("whale_alert", "ff245fc6", None),
    ("whale_alert", "3e78dd17", None),
    ("status_update", "3e78dd17", "confirmed"),
    ("status_update", "ff245fc6", "confirmed"),
    ("status_update", "c669f824", "confirmed"),
    ("status_update", "f3fd3011", "confirmed"),
    ("status_update", "4e2ca255", "confirmed"),
    ("status_update", "2fb97865", "confirmed"),
    ("whale_alert", "4ea7e212", None),
    ("status_update", "4ea7e212", "confirmed"),
]
"""What the recording of a backend without an address index makes us say: it sends no prevouts."""

LABELS = str(EXCERPT_LABELS)


def summary_of(message: dict[str, Any]) -> Summary:
    data = message["data"]
    return message["type"], data["transaction_id"][:8], data.get("new_status")


def unpack_excerpt(folder: Path) -> Path:
    """Write the excerpt as the recording it was."""
    return _unpack(EXCERPT.read_bytes(), folder / "excerpt.jsonl")


def unpack_none(folder: Path) -> Path:
    """Write the recording of a backend without an address index."""
    packed = Path(__file__).parents[1].joinpath("recordings/mempool-none.jsonl.gz").read_bytes()
    return _unpack(packed, folder / "none.jsonl")


def _unpack(packed: bytes, path: Path) -> Path:
    path.write_bytes(gzip.decompress(packed))
    return path
