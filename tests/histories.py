"""Everything that can be told of a few whales, in any order."""

from dataclasses import replace

from hypothesis import strategies as st

from hydrophone.domain.events import (
    BlockConnected,
    BlockPlace,
    ContentsTold,
    Event,
    GapFound,
    GapReason,
    MarketChanged,
    NoAnswer,
    Package,
    Replaced,
    ReplacementTold,
    TimePassed,
    TransactionSeen,
    TransactionsLeft,
    TransactionTold,
    WaitingWhale,
    WhalesWaiting,
)
from hydrophone.domain.feemarket import RateProfile
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.settlement import PATIENCE_MICROS
from hydrophone.domain.units import FeeRate, Height
from tests.whales import SOURCE, T0, later, txid, whale


def market(at: int, *packages: Package) -> MarketChanged:
    """Return what a frame tells: something came, and a block and a half wait."""
    profiles = (RateProfile(4e6, (5.0,) * 7), RateProfile(2e6, (2.0,) * 7))
    return MarketChanged(later(at), [5.0, 2.0], [800, 800], profiles, packages)


NAMES = st.sampled_from("abcdef")
PAYEES = st.sampled_from(["p", "q"])
BRANCHES = st.sampled_from(["block", "block", "block", "fork"])
HEIGHTS = st.integers(100, 110).map(Height)
HASHES = st.builds("{}{}".format, BRANCHES, HEIGHTS)
TXIDS = NAMES.map(txid)
SOME_TXIDS = st.lists(TXIDS, unique=True).map(tuple)
COINS = st.none() | st.sampled_from(["x", "y"])
WHALES = st.builds(whale, NAMES, payee=PAYEES, has_prevouts=st.booleans(), coin=COINS)
STEPS_MICROS = st.sampled_from([0, 1, 400_000, 2_000_000, PATIENCE_MICROS])
MOMENT = st.just(T0)  # replaced by the time of the event
QUESTIONS = st.builds(AboutTransaction, TXIDS)
REPLACEMENTS = st.builds(Replaced, MOMENT, st.just(SOURCE), TXIDS, TXIDS, st.none())
BLOCKS = st.builds(
    lambda height, branch, parent, mined: BlockConnected(
        T0, height, f"{branch}{height}", f"{parent}{height - 1}", mined
    ),
    HEIGHTS,
    BRANCHES,
    BRANCHES,
    st.none() | SOME_TXIDS,
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(TransactionSeen, MOMENT, st.just(SOURCE), WHALES),
    st.builds(TransactionSeen, MOMENT, st.just(SOURCE), WHALES),
    REPLACEMENTS,
    st.builds(lambda old, new: Replaced(T0, SOURCE, old, new.txid, new), TXIDS, WHALES),
    BLOCKS,
    st.builds(TransactionsLeft, MOMENT, st.tuples(TXIDS)),
    st.builds(
        lambda name, rate: market(0, Package((name,), FeeRate(rate))), TXIDS, st.sampled_from([1.0, 99.0])
    ),
    st.builds(
        TransactionTold,
        MOMENT,
        st.just(SOURCE),
        WHALES,
        st.none() | st.builds(BlockPlace, HEIGHTS, HASHES),
        is_whale=st.booleans(),
    ),
    st.builds(NoAnswer, MOMENT, QUESTIONS, st.just("no"), is_unknown=st.booleans()),
    st.builds(NoAnswer, MOMENT, QUESTIONS, st.just("no"), is_unknown=st.just(True)),
    st.builds(ReplacementTold, MOMENT, TXIDS, st.none() | TXIDS),
    st.builds(ContentsTold, MOMENT, st.just(SOURCE), HASHES, SOME_TXIDS, SOME_TXIDS),
    st.builds(WhalesWaiting, MOMENT, st.tuples(st.builds(WaitingWhale, TXIDS, MOMENT, st.none()))),
    st.builds(GapFound, MOMENT, st.just("s"), st.sampled_from(GapReason), MOMENT),
    st.builds(TimePassed, MOMENT),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Any events about six transactions in any order, at times that do not go back."""
    events: list[Event] = []
    at = 0
    for step, event in draw(st.lists(st.tuples(STEPS_MICROS, EVENTS), max_size=40)):
        at += step
        events.append(replace(event, at=later(at)))
    return events
