"""What a transaction looks like, whoever made it: coinjoins, batches, sweeps, consolidations.

**Sources**: the coinjoin rules are those of wallets and of studies of them: Wasabi 2 and 1 and Whirlpool by
their coordinators' rules, JoinMarket as K. Atlas (2015) and later studies recognise it. Figures marked chosen
are the design's.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from hydrophone.domain.script import classify_script
from hydrophone.domain.transaction import Output

_OP_RETURN: Final = b"\x6a"
_ANCHOR: Final = bytes.fromhex("51024e73")
"""What nobody can spend begins so; what anybody can spend is this. Sources: as `ScriptType`."""

_WABISABI_MIN_INPUTS: Final = 50
_WABISABI_MIN_OUTPUT_SAT: Final = 5_000
"""Sources: WalletWasabi, defaults of the coordinator (MinInputCountByRound, AllowedOutputAmounts)."""
_WASABI_1_SAT: Final = 10_000_000
_WASABI_1_TOLERANCE: Final = 0.05
_WASABI_1_INPUTS_EACH: Final = 7
"""Equal outputs of about 0.1 BTC; nobody brings more than seven inputs. Sources: WalletWasabi 1."""
_WHIRLPOOL_SAT: Final = frozenset({100_000, 1_000_000, 5_000_000, 50_000_000})
_WHIRLPOOL_COUNT: Final = 5
"""Sources: the pools of Samourai's Whirlpool."""
_MIN_EQUAL: Final = 2

_BATCH_MIN_OUTPUTS: Final = 10
_BATCH_MAX_INPUT_SCRIPTS: Final = 10
_BATCH_MIN_TYPES: Final = 3
_BATCH_MIN_DISTINCT: Final = 0.8
_BATCH_MIN_SPREAD: Final = 100
_BATCH_MIN_SIGNS: Final = 2
_CONSOLIDATION_MIN_INPUTS: Final = 20
_CONSOLIDATION_MAX_OUTPUTS: Final = 2
_SWEEP_MIN_INPUTS: Final = 5
_ROUND_TOTAL_SAT: Final = 10_000_000
"""# chosen: the design's, as everything from the batch on."""


class Shape(StrEnum):
    """What a transaction looks like."""

    COINJOIN_WABISABI = "coinjoin_wabisabi"
    COINJOIN_WASABI_1 = "coinjoin_wasabi_1"
    COINJOIN_WHIRLPOOL = "coinjoin_whirlpool"
    COINJOIN_JOINMARKET = "coinjoin_joinmarket"
    """Not very sure: two equal payments and change look alike."""
    BATCH = "batch"
    """Many payments out of few scripts, as an exchange or a pool makes them."""
    CONSOLIDATION = "consolidation"
    """One coin made of many."""

    @property
    def is_coinjoin(self) -> bool:
        """Whether several owners mix their coins."""
        return self in _COINJOINS


_COINJOINS: Final = frozenset({
    Shape.COINJOIN_WABISABI, Shape.COINJOIN_WASABI_1, Shape.COINJOIN_WHIRLPOOL, Shape.COINJOIN_JOINMARKET,
})  # fmt: skip


class Looks(NamedTuple):
    """What can be seen without labels.

    Attributes:
        shape: the first that fits, in the order of `Shape`; None: an ordinary payment.
        is_gathering: five or more scripts, each used once, are paid into one: a sweep, if that one is an
            exchange's wallet.
        has_spare_input: an input that was not needed to pay, as in a payjoin.
        has_round_total: what others than the smallest output get is a round amount.
        candidates: indices of the outputs that somebody can spend.
    """

    shape: Shape | None
    is_gathering: bool
    has_spare_input: bool
    has_round_total: bool
    candidates: tuple[int, ...]


def recognise(
    prevouts: Sequence[Output], outputs: Sequence[Output], *, is_exchange: bool, pays_exchange: bool = False
) -> Looks:
    """Return what a transaction looks like.

    Args:
        prevouts: what it spends, all of it, at least one.
        outputs: of the transaction.
        is_exchange: an input is labelled to an exchange, whose batches are no coinjoins.
        pays_exchange: an output is labelled to an exchange that no input is labelled to: then many coins are
            spent to pay it, and not to consolidate them.
    """
    candidates = tuple(
        [
            index
            for index, (script, value_sat) in enumerate(outputs)
            if value_sat and script != _ANCHOR and not script.startswith(_OP_RETURN)
        ]
    )
    paid = [outputs[index] for index in candidates]
    shape = (
        _coinjoin(prevouts, paid, is_exchange=is_exchange)
        or _batch(prevouts, paid)
        or (None if pays_exchange else _consolidation(prevouts, paid))
    )
    return Looks(
        shape,
        _is_gathering(prevouts, paid),
        _has_spare_input(prevouts, paid),
        _has_round_total(paid),
        candidates,
    )


def _coinjoin(prevouts: Sequence[Output], paid: Sequence[Output], *, is_exchange: bool) -> Shape | None:
    if len(prevouts) < _MIN_EQUAL or not paid or len({output.script for output in paid}) < len(paid):
        return None  # nobody mixes alone, or into a script that is paid twice
    counts: Counter[int] = Counter([output.value_sat for output in paid])
    value_sat, equal = min(counts.items(), key=lambda item: (-item[1], item[0]))
    owners = len({prevout.script for prevout in prevouts})
    tests = (
        (_is_wabisabi(len(prevouts), counts), Shape.COINJOIN_WABISABI),
        (
            not is_exchange and _is_wasabi_1(value_sat, equal, owners, len(paid)),
            Shape.COINJOIN_WASABI_1,
        ),
        (
            value_sat in _WHIRLPOOL_SAT and len(prevouts) == len(paid) == equal == owners == _WHIRLPOOL_COUNT,
            Shape.COINJOIN_WHIRLPOOL,
        ),
        (not is_exchange and _is_joinmarket(equal, owners, len(paid)), Shape.COINJOIN_JOINMARKET),
    )
    return next((shape for holds, shape in tests if holds), None)


def _is_joinmarket(equal: int, owners: int, output_count: int) -> bool:
    """Return whether each but one at most of those who get the equal amount has change, too.

    Equal payments with one change, or none, come of one owner more often: a batch of equal payments.
    """
    return _MIN_EQUAL <= equal <= owners and 2 * equal - 1 <= output_count <= 2 * equal


def _is_wabisabi(input_count: int, counts: Counter[int]) -> bool:
    if input_count < _WABISABI_MIN_INPUTS or min(counts) < _WABISABI_MIN_OUTPUT_SAT:
        return False
    shared = sum(count for count in counts.values() if count > 1)
    return 2 * shared >= counts.total() - 1 and 10 * shared >= input_count


def _is_wasabi_1(value_sat: int, equal: int, owners: int, output_count: int) -> bool:
    return (
        equal >= _MIN_EQUAL
        and abs(value_sat - _WASABI_1_SAT) <= _WASABI_1_TOLERANCE * _WASABI_1_SAT
        and 2 * equal >= output_count - 1
        and equal <= owners <= _WASABI_1_INPUTS_EACH * equal
    )


def _batch(prevouts: Sequence[Output], paid: Sequence[Output]) -> Shape | None:
    if len(paid) < _BATCH_MIN_OUTPUTS:
        return None
    if len({prevout.script for prevout in prevouts}) > _BATCH_MAX_INPUT_SCRIPTS:
        return None
    values = [output.value_sat for output in paid]
    signs = (
        len({classify_script(output.script) for output in paid}) >= _BATCH_MIN_TYPES,
        len({output.script for output in paid}) >= _BATCH_MIN_DISTINCT * len(paid),
        max(values) > _BATCH_MIN_SPREAD * min(values),
    )
    return Shape.BATCH if sum(signs) >= _BATCH_MIN_SIGNS else None


def _consolidation(prevouts: Sequence[Output], paid: Sequence[Output]) -> Shape | None:
    is_consolidation = (
        len(prevouts) >= _CONSOLIDATION_MIN_INPUTS
        and 0 < len(paid) <= _CONSOLIDATION_MAX_OUTPUTS
        and len({classify_script(script) for script in {prevout.script for prevout in prevouts}}) == 1
    )
    return Shape.CONSOLIDATION if is_consolidation else None


def _is_gathering(prevouts: Sequence[Output], paid: Sequence[Output]) -> bool:
    return (
        len(prevouts) >= _SWEEP_MIN_INPUTS
        and len({output.script for output in paid}) == 1
        and len({prevout.script for prevout in prevouts}) == len(prevouts)
    )


def _has_spare_input(prevouts: Sequence[Output], paid: Sequence[Output]) -> bool:
    """Return whether the larger of two outputs could be paid without the smallest input.

    Sources: the unnecessary-input heuristic by which payjoins are told (BIP 78 asks wallets to avoid it).
    """
    if len(prevouts) < 2 or len(paid) != 2:  # noqa: PLR2004 -- a payjoin has a payment and change
        return False
    values = [prevout.value_sat for prevout in prevouts]
    return sum(values) - min(values) > max(output.value_sat for output in paid)


def _has_round_total(paid: Sequence[Output]) -> bool:
    values = [output.value_sat for output in paid]
    return len(values) > 1 and (sum(values) - min(values)) % _ROUND_TOTAL_SAT == 0
