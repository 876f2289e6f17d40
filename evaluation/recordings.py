"""Replays the full recordings and compares with what was done to the node.

The oracle is independent: the standard library's json over every announced transaction.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.shared_data import find

THRESHOLD_SAT = 100 * 100_000_000
HYDROPHONE = [sys.executable, "-m", "hydrophone"]


def announced(recording: Path) -> dict[str, int]:
    """Return the value of each transaction that a frame of connection `all` announced."""
    values: dict[str, int] = {}
    for line in recording.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["conn"] == "all" and entry["dir"] == "in":
            delta = json.loads(entry["raw"]).get("mempool-transactions", {})
            for transaction in delta.get("added", []):
                values[transaction["txid"]] = sum(output["value"] for output in transaction["vout"])
    return values


def done(activity: Path) -> set[str]:
    """Return the txids of everything that was done to the node."""
    txids: set[str] = set()
    for line in activity.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        txids.update(entry[key] for key in ("txid", "old", "new") if isinstance(entry.get(key), str))
        txids.update(entry.get("txids", []))
    return txids


def replay(recording: Path) -> bytes:
    """Return what the command prints."""
    command = [*HYDROPHONE, "replay", str(recording), "--conn", "all", "--json", "--network", "regtest"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def messages(output: bytes) -> Iterator[dict[str, Any]]:
    """Yield the messages."""
    return (json.loads(line) for line in output.splitlines())


def check(folder: Path) -> bool:
    """Print the counts of one recording; return whether all is as it should be."""
    recording = folder / "ws.jsonl"
    values = announced(recording)
    whales = {txid for txid, value in values.items() if value > THRESHOLD_SAT}
    acted = done(folder / "activity.jsonl") & whales
    first, second = replay(recording), replay(recording)
    alerts = [m["data"] for m in messages(first) if m["type"] == "whale_alert"]
    updates = Counter(m["data"]["new_status"] for m in messages(first) if m["type"] == "status_update")
    signalled = Counter(alert["transaction_id"] for alert in alerts)
    missed, extra = whales - set(signalled), set(signalled) - whales
    repeated = [txid for txid, count in signalled.items() if count != 1]
    reasons = Counter(alert["flow_reason"] for alert in alerts)
    print(f"{folder.name}: {len(values)} announced, {len(whales)} above 100 BTC, {len(acted)} in activity")
    counts = f"signalled {signalled.total()}, missed {len(missed)}, below {len(extra)}, twice {len(repeated)}"
    print(f"  {counts}")
    print(f"  predictions {len({a['prediction_id'] for a in alerts})}, status updates {dict(updates)}")
    print(f"  the same bytes twice: {first == second} ({len(first)} bytes); reasons: {dict(reasons)}")
    return not missed and not extra and not repeated and first == second


def main() -> int:
    """Check both recordings."""
    folder = find("recordings")
    if folder is None:
        return 0
    results = [check(folder / name) for name in ("mempool-esplora", "mempool-none")]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
