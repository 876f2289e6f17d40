import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.scenarios import SCENARIOS, Incident, IncidentKind
from hydrophone.simulator.simulation import Simulation
from tests.unit.simulator.simulations import START, Listener, announced, deltas, settings_of

_IN_ANOTHER_PROCESS = """
import hashlib
from tests.unit.simulator.simulations import *
listener = Listener(Simulation(settings_of("demo")))
listener.listen(120)
print(hashlib.sha256("".join(listener.texts).encode()).hexdigest())
"""


@pytest.mark.parametrize("style", Style)
def test_the_same_seed_gives_the_same_frames(style: Style) -> None:
    first, second = (Listener(Simulation(settings_of("demo", style=style))) for _ in range(2))
    first.listen(120)
    second.listen(120)
    assert len(first.texts) > 50
    assert first.texts == second.texts


def test_the_same_seed_gives_the_same_frames_in_any_process() -> None:
    listener = Listener(Simulation(settings_of("demo")))
    listener.listen(120)
    answer = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS],
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert answer.stdout.decode().strip() == hashlib.sha256("".join(listener.texts).encode()).hexdigest()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "flood"])
def test_every_scenario_runs_and_announces_what_its_truth_says(name: str) -> None:
    lines: list[str] = []
    rate_per_s = 0.4 if name == "fee-spike" else min(SCENARIOS[name].rate_per_s, 2.0)  # six times that, there
    simulation = Simulation(settings_of(name, prefill=0, rate_per_s=rate_per_s), lines.append)
    listener = Listener(simulation)
    listener.listen(900)
    simulation.close()
    truth = {line["txid"]: line for line in map(json.loads, lines)}
    heard = announced(listener.frames)
    assert set(heard) == {txid for txid, line in truth.items() if line["announced_at"] is not None}
    for delta in deltas(listener.frames):
        for txid in delta["mined"][1:]:
            assert truth[txid]["end"] == "confirmed" or truth[txid]["reorged"] or name in {"reorg", "soak"}
    if name == "silence":
        assert heard == []
    else:
        assert len(heard) > 100


def test_a_demonstration_is_lively_at_once() -> None:
    frames = Listener(Simulation(settings_of("demo"))).listen(30)
    whales = [
        t
        for delta in deltas(frames[:4])
        for t in delta["added"]
        if sum(o["value"] for o in t["vout"]) > 10**10
    ]
    assert whales
    assert any("block" in frame for frame in frames)


def test_the_sequence_counts_up() -> None:
    sequences = [delta["sequence"] for delta in deltas(Listener(Simulation(settings_of("demo"))).listen(300))]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_a_restart_is_a_silence_and_then_another_sequence() -> None:
    listener = Listener(Simulation(settings_of("restart", rate_per_s=3.0)))
    before = listener.listen(59)
    assert listener.listen(5) == []
    assert not listener.simulation.is_listening
    after = listener.listen(20)
    assert listener.simulation.is_listening
    historic = [f for f in after if "block" in f and f.get("mempool-transactions", {}).get("sequence") == 0]
    assert historic
    assert max(d["sequence"] for d in deltas(before)) > max(d["sequence"] for d in deltas(after[:20]))
    assert len(announced(after)) >= len(listener.simulation.world.node.mempool.entries) * 0.5


def test_an_outage_is_a_loading_indicator_each_second() -> None:
    listener = Listener(Simulation(settings_of("outage")))
    listener.listen(61)
    frames = listener.listen(55)
    assert {json.dumps(frame) for frame in frames} == {'{"loadingIndicators": {"mempool": 99}}'}
    assert len(frames) == pytest.approx(55, abs=2)
    assert announced(listener.listen(20))


def test_a_long_outage_leaves_out_all_blocks_but_the_last_eight() -> None:
    listener = Listener(Simulation(settings_of("outage")))
    listener.listen(301)
    height = listener.simulation.world.node.chain.height
    frames = listener.listen(620)
    found = listener.simulation.world.node.chain.height - height
    blocks = [frame["block"]["height"] for frame in frames if "block" in frame]
    assert found > 16
    assert len(blocks) < found
    assert blocks[0] == blocks[7] - 7


@pytest.mark.parametrize(("style", "is_told"), [(Style.ESPLORA, True), (Style.NONE, False)])
def test_a_reorganisation_is_told_by_a_list_or_not_at_all(style: Style, is_told: bool) -> None:
    listener = Listener(Simulation(settings_of("reorg", style=style)))
    frames = listener.listen(800)
    previous: dict[int, str] = {}
    breaks = 0
    for frame in frames:
        if "block" in frame:
            block = frame["block"]
            breaks += (
                previous.get(block["height"] - 1, block["previousblockhash"]) != block["previousblockhash"]
            )
            previous[block["height"]] = block["id"]
    assert breaks >= 3
    assert any("blocks" in frame for frame in frames[1:]) == is_told


def test_polls_are_slow_while_the_indexer_runs() -> None:
    incident = Incident(IncidentKind.INDEXING, 10.0, 1_000.0, 100.0)
    listener = Listener(Simulation(settings_of("calm", incidents=(incident,))))
    frames = listener.listen(100)
    assert any("block-indexing" in f.get("loadingIndicators", {}) for f in frames)
    assert len(deltas(frames)) < 15


def test_pressure_and_demand_come_and_go() -> None:
    rates: dict[str, list[float]] = {"before": [], "during": [], "after": []}
    incidents = (
        Incident(IncidentKind.DEMAND, 100.0, 10_000.0, 100.0, (5.0,)),
        Incident(IncidentKind.PRESSURE, 100.0, 10_000.0, 100.0, (8.0,)),
    )
    listener = Listener(Simulation(settings_of("calm", incidents=incidents)))
    for name in rates:
        frames = listener.listen(100)
        rates[name] = sorted(t["feePerVsize"] for delta in deltas(frames) for t in delta["added"])
    assert len(rates["during"]) > 3 * len(rates["before"])
    assert len(rates["after"]) < 0.5 * len(rates["during"])
    high = {name: sum(rate >= 8 for rate in some) / len(some) for name, some in rates.items()}
    assert high["during"] > 2 * high["before"]
    assert high["during"] > 2 * high["after"]


def test_the_price_is_that_which_was_set() -> None:
    prices = [
        json.loads(Simulation(replace(settings_of("silence"), price_usd=price)).backend.prices())["USD"]
        for price in (None, 0.0, 65_000.5)
    ]
    assert prices == [-1, 0, 65_000.5]


def test_labels_are_of_the_simulated_exchanges() -> None:
    text = Simulation(settings_of("demo")).labels()
    assert text.startswith("address,entity,kind,role,confidence,as_of,sources\n")
    assert ",Alder,exchange,hot," in text
    assert START > 0


def test_a_simulation_that_is_spared_has_no_more_incidents_and_ends_those_that_began() -> None:
    listener = Listener(Simulation(settings_of("restart")))
    simulation = listener.simulation
    while simulation.is_listening:
        simulation.step()
    simulation.spare()
    listener.listen(10)
    assert simulation.is_listening, "what had begun is over"
    was_listening = [simulation.step().is_listening for _ in range(1_000)]
    assert all(was_listening)
