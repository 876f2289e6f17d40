"""How fast the simulator is, and whether the same seed gives the same bytes.

An hour of 7 transactions a second must take less than a minute, and a minute of the flood less than a minute
with every frame written for a client that wants everything: else the simulator would be the bottleneck.
"""

import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.scenarios import SCENARIOS
from hydrophone.simulator.simulation import Simulation, SimulationSettings

RUNS = 3
HOUR_BAR_S = 60.0
FLOOD_S = 60.0
START = 1_800_000_000.0
SUBSCRIPTIONS = ('{"action":"want","data":["blocks","mempool-blocks","stats"]}', '{"track-mempool":true}')


def simulate_an_hour(folder: Path) -> tuple[float, str, int]:
    """Return the seconds, the hash and the lines of the truth of an hour."""
    truth = folder / "truth.jsonl"
    flags = ("--port", "0", "--seed", "7", "--rate", "7", "--duration", "3600", "--truth", str(truth))
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "hydrophone", "simulate", *flags], check=True, stdout=subprocess.DEVNULL
    )
    took_s = time.monotonic() - began
    lines = truth.read_bytes()
    return took_s, hashlib.sha256(lines).hexdigest(), lines.count(b"\n")


def flood() -> tuple[float, float, int, str]:
    """Return seconds, the longest step, the bytes written and their hash for a minute of the flood."""
    simulation = Simulation(SimulationSettings(SCENARIOS["flood"], seed=1, started_at=START))
    session = Session(simulation.backend)
    for message in SUBSCRIPTIONS:
        session.receive(message, START)
    written, longest_s, digest = 0, 0.0, hashlib.sha256()
    began = time.monotonic()
    while simulation.next_at <= START + FLOOD_S:
        step_began = time.monotonic()
        for update in simulation.step().updates:
            text = (session.frame(update) or "").encode()
            written += len(text)
            digest.update(text)
        longest_s = max(longest_s, time.monotonic() - step_began)
    return time.monotonic() - began, longest_s, written, digest.hexdigest()


def main() -> int:
    """Print the figures; fail if a bar is missed or bytes differ."""
    with tempfile.TemporaryDirectory() as folder:
        hours = [simulate_an_hour(Path(folder)) for _ in range(RUNS)]
    hour_s = statistics.median(took_s for took_s, _, _ in hours)
    is_same = len({digest for _, digest, _ in hours}) == 1
    print(f"an hour of 7 tx/s: {hour_s:.1f} s (median of {RUNS}; bar {HOUR_BAR_S:g}), {hours[0][2]} lines")
    print(f"  the same bytes each time: {is_same}")
    floods = [flood() for _ in range(2)]
    flood_s = statistics.median(took_s for took_s, *_ in floods)
    same_frames = len({digest for *_, digest in floods}) == 1
    print(f"{FLOOD_S:g} s of flood: {flood_s:.1f} s of one core, longest step {floods[0][1]:.2f} s,")
    print(f"  {floods[0][2] / 1e6:.0f} MB of frames; the same bytes twice: {same_frames}")
    return 0 if hour_s < HOUR_BAR_S and flood_s < FLOOD_S and is_same and same_frames else 1


if __name__ == "__main__":
    sys.exit(main())
