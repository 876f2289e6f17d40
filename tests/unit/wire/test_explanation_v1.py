import json
import math
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy, LearnedLabel
from hydrophone.domain.parties import Labels
from hydrophone.domain.script import Network
from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.errors import MalformedMessage
from hydrophone.wire.esplora import parse_esplora_transaction
from hydrophone.wire.explanation import explain
from hydrophone.wire.explanation_v1 import ExplanationV1, SaidV1, encode_explanation, parse_explanation
from hydrophone.wire.public_v1 import ValuesV1
from tests.builders import START, Json, to_bytes, txid_of, wpkh
from tests.explained import (
    ALL,
    BATCH,
    BINANCE,
    BOOK,
    BTC,
    COINJOIN,
    DEPOSIT,
    KRAKEN,
    KRAKEN_ADDRESS,
    SMALL,
    SWEEP,
    UNSEEN,
    WITHDRAWAL,
    esplora,
)

SNAPSHOT: Final = Path(__file__).parents[2] / "snapshots" / "explanation_v1.json"
HOW_TO_GO_ON: Final = """
An explanation is not what tests/snapshots/explanation_v1.json says. Programs read it:
- only added something: take it over by
      python -m tests.unit.wire.test_explanation_v1
  and say so in CHANGELOG.md;
- renamed or removed something, or changed a type: make explanation_v2 beside it.
"""
EXCHANGE: Final = EntityKind.EXCHANGE


def explained(document: Json, labels: Labels = BOOK, *, said: SaidV1 | None = None) -> ExplanationV1:
    tx = parse_esplora_transaction(to_bytes(document))
    flow = classify_flow(tx, labels)
    return explain(
        tx, flow, labels, Network.MAINNET, label_set=BOOK.version, threshold_sat=100 * BTC, said=said
    )


def said_of(e: ExplanationV1, **changes: Any) -> SaidV1:  # noqa: ANN401 -- fields of any type
    said = SaidV1(
        prediction_id="p",
        transaction_id=e.txid,
        detected_at="2026-11-22T08:51:02.099989Z",
        status="pending",
        flow_type=e.flow_type,
        flow_subtype=e.flow_subtype,
        flow_reason=e.flow_reason,
        confidence=0.9,
        values=e.values,
        moved_sat=e.moved_sat,
        label_set="0123456789abcdef",
        amendments=[],
    )
    return msgspec.structs.replace(said, **changes)


def test_a_withdrawal_is_explained_in_full() -> None:
    e = explained(WITHDRAWAL)
    assert (e.flow_type, e.flow_subtype, e.flow_reason) == ("outflow", None, None)
    assert e.confidence == e.probabilities["outflow"]
    assert e.shares is not None
    assert e.shares["outflow"] == pytest.approx(0.9)
    assert e.basis is not None
    assert e.basis["outflow"].basis == "pays_few"
    assert 0 < e.basis["outflow"].right <= e.basis["outflow"].n
    assert (e.gross_sat, e.fee_sat) == (999 * BTC + 99_990_000, 10_000)
    assert sum(msgspec.structs.astuple(e.values)) == e.moved_sat + e.values.internal_sat
    assert e.sender is not None
    assert (e.sender.shares, e.sender.same_owner, e.sender.signs) == ({"Kraken": 0.9}, 1.0, [])
    assert e.change is not None
    assert e.change.returned == [1]
    assert [(vote.vote, vote.output) for vote in e.votes] == [("round_payment", 1), ("script_type", 1)]
    assert all(math.isclose(v.discounted, v.log_odds * e.change.vote_discount) for v in e.votes)
    assert [(silent.vote, silent.why[:9]) for silent in e.change.silent] == [("optimal_change", "not asked")]
    [kraken] = e.entities
    assert (kraken.name, kraken.net_sat) == ("Kraken", kraken.in_sat - kraken.out_sat)
    assert kraken.sent.certain_sat + kraken.sent.likely_sat + kraken.sent.unknown_sat == kraken.out_sat
    assert [(label.side, label.index, label.entity) for label in e.labels] == [
        ("input", 0, "Kraken"),
        ("output", 1, "Kraken"),
    ]
    assert e.labels[0].address == KRAKEN_ADDRESS == e.exchange_addresses[0] == e.inputs[0].address
    assert [output.contributes.outflow_sat > 100 * BTC for output in e.outputs] == [True, False]


@pytest.mark.parametrize("document", ALL, ids=lambda document: document["txid"][:8])
def test_json_holds_all_of_it_and_is_the_same_every_time(document: Json) -> None:
    raw = encode_explanation(explained(document))
    assert parse_explanation(raw) == explained(document)
    assert raw == encode_explanation(explained(document))


def test_keys_that_programs_read() -> None:
    keys = json.loads(encode_explanation(explained(DEPOSIT)))
    assert {"flow_type", "flow_subtype", "probabilities", "values", "moved_sat", "entities", "votes"} <= set(
        keys
    )
    names = ["inflow_sat", "outflow_sat", "internal_sat", "interexchange_sat", "unknown_sat"]
    assert list(keys["values"]) == names
    assert {"name", "in_sat", "out_sat", "net_sat"} <= set(keys["entities"][0])
    assert keys["labels"][0]["source"] == "test"


@pytest.mark.parametrize(
    ("document", "shape", "is_coinjoin", "same_owner"),
    [
        (COINJOIN, "coinjoin_whirlpool", True, 0.0),
        (BATCH, "batch", False, 1.0),
        (DEPOSIT, None, False, 0.98),
    ],
)
def test_looks_and_what_follows_from_them(
    document: Json, shape: str | None, is_coinjoin: bool, same_owner: float
) -> None:
    e = explained(document)
    assert e.looks is not None
    assert e.sender is not None
    assert (e.shape, e.looks.is_coinjoin, e.sender.same_owner) == (shape, is_coinjoin, same_owner)


def test_an_input_that_was_not_needed_is_why_the_owners_may_differ() -> None:
    payjoin = ((wpkh(1), 5 * BTC), (wpkh(2), 3 * BTC)), ((wpkh(3), 4 * BTC), (wpkh(4), 399_000_000))
    sender = explained(esplora("payjoin", *payjoin)).sender
    assert sender is not None
    assert "not needed" in sender.same_owner_why


def test_a_share_that_no_label_names_says_its_signs() -> None:
    sender = explained(BATCH).sender
    assert sender is not None
    assert {sign.name: sign.log_odds for sign in sender.signs} == {"batch": 2.5, "many_outputs": 0.7}
    assert (sender.unnamed, sender.unnamed_bias, sender.shares) == (0.5, -1.4, {})


def test_a_sweep_names_who_sweeps() -> None:
    e = explained(SWEEP)
    assert e.looks is not None
    assert (e.flow_subtype, e.looks.swept_by, e.looks.is_gathering) == ("sweep", "Kraken", True)
    assert e.change is not None
    assert {silent.why for silent in e.change.silent} == {"with one output there is nothing to vote on"}


@pytest.mark.parametrize(("document", "is_whale"), [(DEPOSIT, True), (SMALL, False)])
def test_whether_it_is_a_whale_and_why(document: Json, is_whale: bool) -> None:
    whale = explained(document).whale
    assert (whale.is_whale, whale.threshold_sat) == (is_whale, 100 * BTC)
    assert ("not more than 100 BTC" in whale.why) is not is_whale


def test_exactly_the_threshold_is_no_whale() -> None:
    even = esplora("even", ((wpkh(1), 101 * BTC),), ((wpkh(2), 100 * BTC),))
    assert not explained(even).whale.is_whale


def test_without_prevouts_nothing_is_made_up() -> None:
    e = explained(UNSEEN)
    assert (e.flow_type, e.prevouts_known) == ("unknown", 0)
    assert e.flow_reason == "inputs unknown: the source sent no prevouts"
    assert (e.shares, e.basis, e.looks, e.sender, e.change, e.votes) == (None, None, None, None, None, [])
    assert [output.change_probability for output in e.outputs] == [None, None]
    assert msgspec.structs.astuple(e.inputs[0]) == (0, None, None, None)
    assert [(label.entity, label.why_not) for label in e.labels] == [("Binance", "inputs unknown")]


def test_a_label_says_why_it_gives_no_direction() -> None:
    rival = Label(BINANCE, Entity("Rival", EXCHANGE), Role.HOT, "other", 0.9)
    doubted = Label(wpkh(9), Entity("Doubted", EXCHANGE), Role.HOT, "rumour", 0.0)
    e = explained(DEPOSIT, LabelBook([*BOOK, rival, doubted]))
    whys = {label.entity: (label.disputed, label.gives_direction, label.why_not) for label in e.labels}
    contradicted = (True, False, "contradicted by another label")
    assert whys == {
        "Binance": contradicted,
        "Rival": contradicted,
        "Doubted": (False, False, "its source is not believed"),
    }
    assert explained(SMALL).labels[0].why_not == "not an exchange"
    assert explained(DEPOSIT).labels[0].why_not is None


def test_a_learned_label_says_how_it_was_learned() -> None:
    learned = LearnedLabel(
        script=wpkh(9),
        entity=Entity("Kraken", EXCHANGE),
        role=Role.DEPOSIT,
        source="test",
        confidence=0.9,
        learned_by=LearnedBy.SWEEP,
        evidence=Txid(txid_of("sweep")),
        learned_at=UnixMicros(START),
    )
    [_, label] = explained(DEPOSIT, KnownLabels(BOOK, [learned])).labels
    assert label.learned is not None
    assert (label.learned.how, label.learned.evidence) == ("sweep", txid_of("sweep"))
    assert label.learned.learned_at.startswith("2026-")
    assert label.gives_direction


def test_contradicting_senders_are_named() -> None:
    both = ((KRAKEN, 5 * BTC), (BINANCE, 5 * BTC)), ((wpkh(1), 9 * BTC),)
    sender = explained(esplora("both", *both)).sender
    assert sender is not None
    assert sender.conflict == ["Binance", "Kraken"]


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, False),
        ({"confidence": 0.1, "label_set": None, "values": None}, False),
        ({"flow_type": "inflow"}, True),
        ({"flow_subtype": "mixed"}, True),
        ({"values": ValuesV1(1, 2, 3, 4, 5)}, True),
    ],
)
def test_whether_another_answer_was_given_at_the_time(changes: Json, differs: bool) -> None:
    said = said_of(explained(WITHDRAWAL), **changes)
    assert explained(WITHDRAWAL, said=said).said_differs is differs


def test_without_a_database_nothing_was_said() -> None:
    assert (explained(WITHDRAWAL).said, explained(WITHDRAWAL).said_differs) == (None, None)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"txid":7}', b"\xff", b"[" * 5_000])
def test_what_is_no_explanation_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage, match="expected an explanation"):
        parse_explanation(raw)


def schema() -> str:
    """Return what programs may rely on: names, types and what may be null, without the descriptions."""
    _, components = msgspec.json.schema_components([ExplanationV1])
    for component in components.values():
        component.pop("description", None)
    return json.dumps(components, indent=2) + "\n"


def test_the_schema_is_the_one_in_the_snapshot() -> None:
    assert schema() == SNAPSHOT.read_text(encoding="utf-8"), HOW_TO_GO_ON


if __name__ == "__main__":
    SNAPSHOT.write_text(schema(), encoding="utf-8")
