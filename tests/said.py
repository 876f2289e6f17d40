"""Public messages as a service says them, and a record of them in memory."""

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from hydrophone.domain.record import GENESIS, RecordEntry, digest_of
from hydrophone.domain.script import Network
from hydrophone.domain.units import UnixMicros
from hydrophone.wire.public_v1 import PublicEncoder
from tests.contract.fake_store import whale

_ALERT: Final[dict[str, Any]] = msgspec.to_builtins(PublicEncoder(Network.REGTEST).describe(whale()))
TIMESTAMP: Final = "2026-11-22T08:51:02.099989Z"
ENTITY: Final = _ALERT["entities"][0]


def facts(
    prediction: str = "p",
    *,
    btc: float = 1_000.0,
    moved: float = 900.0,
    flow: str = "inflow",
    urgency: float | None = 0.5,
    confidence: float = 0.8,
    exchanges: Sequence[str] = ("Binance",),
    was_modified: bool = False,
) -> dict[str, Any]:
    """Return the data of an alert."""
    return copy.deepcopy(_ALERT) | {
        "prediction_id": prediction,
        "btc_value": btc,
        "moved_btc": moved,
        "flow_type": flow,
        "urgency_score": urgency,
        "confidence_score": confidence,
        "entities": [{**ENTITY, "name": name} for name in exchanges],
        "was_modified": was_modified,
    }


def alert(seq: int, data: Mapping[str, Any] | None = None) -> bytes:
    """Return a whale_alert."""
    return _message("whale_alert", seq, facts() if data is None else data)


def update(seq: int, prediction: str = "p", status: str = "confirmed") -> bytes:
    """Return a status_update."""
    data = {"prediction_id": prediction, "transaction_id": "00", "new_status": status}
    return _message("status_update", seq, data)


def amendment(seq: int, data: Mapping[str, Any]) -> bytes:
    """Return a status_update that corrects an alert."""
    update = {
        "prediction_id": data["prediction_id"],
        "transaction_id": data["transaction_id"],
        "new_status": "amended",
        "amendment": data,
    }
    return _message("status_update", seq, update)


def notice(text: str = "Listening") -> bytes:
    """Return a connection message."""
    data = {"status": "connected", "mempool_available": True, "message": text}
    return json.dumps({"type": "connection", "data": data, "timestamp": TIMESTAMP}).encode()


def _message(kind: str, seq: int, data: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "seq": seq, "data": data, "timestamp": TIMESTAMP}).encode()


def seqs_in(messages: Collection[bytes | str]) -> list[int]:
    """Return the indices of messages that have one."""
    said = [json.loads(message) for message in messages]
    return [message["seq"] for message in said if "seq" in message]


class MemoryRecord:
    """A `RecordReader` of messages in order from index 1.

    Attributes:
        messages: what was said; None: its content is not kept any more.
        error: raised instead of an answer.
        reads: of entries, so far.
    """

    def __init__(self, messages: Sequence[bytes | None] = ()) -> None:
        self.messages: list[bytes | None] = list(messages)
        self.error: Exception | None = None
        self.reads = 0

    def entries(self, since: int, limit: int) -> list[RecordEntry]:
        return [
            self._entry(seq, message)
            for seq, message in enumerate(self.messages[since : since + limit], start=since + 1)
        ]

    def alerts(self, prediction_ids: Collection[str] | None = None) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for entry in self.entries(0, len(self.messages)):
            about = entry.prediction_id
            if entry.message is None or about is None or entry.kind not in ("signal", "amendment"):
                continue
            if prediction_ids is None or about in prediction_ids:
                found.setdefault(about, []).append(entry.message)
        return found

    async def read_entries(self, since: int, limit: int) -> Sequence[RecordEntry]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.entries(since, limit)

    async def read_alerts(self, prediction_ids: Collection[str]) -> Mapping[str, Sequence[bytes]]:
        return self.alerts(prediction_ids)

    async def read_open_alerts(self) -> Mapping[str, Sequence[bytes]]:
        said = [json.loads(message) for message in self.messages if message is not None]
        ended = {
            message["data"]["prediction_id"]
            for message in said
            if message["data"].get("new_status") == "confirmed"
        }
        return {about: messages for about, messages in self.alerts().items() if about not in ended}

    @staticmethod
    def _entry(seq: int, message: bytes | None) -> RecordEntry:
        said = json.loads(message or b'{"data":{}}')
        kind = "outcome"
        if said.get("type") == "whale_alert":
            kind = "signal"
        elif "amendment" in said["data"]:
            kind = "amendment"
        prediction_id = said["data"].get("prediction_id")
        return RecordEntry(
            seq, UnixMicros(0), kind, prediction_id, digest_of(message or b""), GENESIS, message
        )
