"""A running service explains what it has stored by what it knows at that moment."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hydrophone.bootstrap.explaining import LiveExplainer
from hydrophone.config import Settings
from hydrophone.domain.labels import Entity, EntityKind, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy, LearnedLabel
from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.errors import UnknownTransaction
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.wire.explanation_v1 import parse_explanation
from tests.builders import START, txid_of
from tests.unit.store.test_stored_transactions import TX, insertion


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "x.db", address_of=lambda _: None)
    await store.open()
    writer = store._database._connection
    assert writer is not None
    writer.execute(*insertion())
    yield store
    await store.close()


async def test_what_is_learned_while_it_runs_counts(store: DuckDbStore) -> None:
    book = LabelBook()
    known = KnownLabels(book)
    explainer = LiveExplainer(Settings(), book, known, store)
    before = parse_explanation(await explainer.explain(TX.txid))
    known.add(
        LearnedLabel(
            script=TX.outputs[0].script,
            entity=Entity("Kraken", EntityKind.EXCHANGE),
            role=Role.DEPOSIT,
            source="list.csv",
            confidence=0.9,
            learned_by=LearnedBy.SWEEP,
            evidence=Txid(txid_of("sweep")),
            learned_at=UnixMicros(START),
        )
    )
    after = parse_explanation(await explainer.explain(TX.txid))
    assert (before.labels, before.flow_type) == ([], "unknown")
    assert ([label.entity for label in after.labels], after.flow_type) == (["Kraken"], "inflow")
    assert after.said is not None
    assert after.said.prediction_id == "p1"


async def test_what_it_has_not_stored_is_unknown(store: DuckDbStore) -> None:
    book = LabelBook()
    with pytest.raises(UnknownTransaction):
        await LiveExplainer(Settings(), book, KnownLabels(book), store).explain(Txid("ab" * 32))
