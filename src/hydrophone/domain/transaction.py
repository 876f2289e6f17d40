"""A transaction as far as we need it: who paid whom how much, and for what fee."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hydrophone.domain.units import FeeRate, Sats, Txid, WeightUnits, fee_rate_sat_vb

MAX_BIP125_SEQUENCE: Final = 0xFFFFFFFD
"""An input at or below signals replaceability. Sources: BIP 125, explicit signaling."""


class OutPoint(NamedTuple):
    """Where an output was made."""

    txid: Txid
    vout: int


class Output(NamedTuple):
    """An amount locked to a script.

    A named tuple, as are inputs: a whale may have thousands, and they are made four times as fast as frozen
    dataclasses.

    Attributes:
        script: scriptPubKey bytes; the address is only its spelling.
        value_sat: amount in satoshis.
    """

    script: bytes
    value_sat: Sats


class Input(NamedTuple):
    """The spending of an earlier output.

    Attributes:
        outpoint: what is spent; None in a coinbase.
        sequence: nSequence.
        prevout: the output spent; None until somebody told us.
    """

    outpoint: OutPoint | None
    sequence: int
    prevout: Output | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction.

    Attributes:
        txid: its id.
        inputs: in order; prevouts may be unknown.
        outputs: in order.
        weight_wu: BIP 141 weight.
        fee_sat: fee; None when nobody told us.
        effective_fee_rate: sat/vB of its package where the source gave one, else None.
        is_accelerated: whether the source says that some miners were paid for it elsewhere.
    """

    txid: Txid
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    weight_wu: WeightUnits
    fee_sat: Sats | None = None
    effective_fee_rate: FeeRate | None = None
    is_accelerated: bool = False

    @property
    def gross_sat(self) -> Sats:
        """Sum of the outputs."""
        return Sats(sum(output.value_sat for output in self.outputs))

    @property
    def is_coinbase(self) -> bool:
        """Whether it makes coins instead of moving them."""
        return any(tx_input.outpoint is None for tx_input in self.inputs)

    @property
    def has_all_prevouts(self) -> bool:
        """Whether every input's script and value are known."""
        return all(tx_input.prevout is not None for tx_input in self.inputs)

    @property
    def signals_rbf(self) -> bool:
        """Whether BIP 125 is signalled. Full RBF is the default now: its absence says little."""
        return any(tx_input.sequence <= MAX_BIP125_SEQUENCE for tx_input in self.inputs)

    @property
    def fee_rate(self) -> FeeRate | None:
        """Own fee rate in sat/vB; None while the fee is unknown."""
        return None if self.fee_sat is None else fee_rate_sat_vb(self.fee_sat, self.weight_wu)

    def with_prevouts(self, prevouts: Sequence[Output]) -> "Transaction":
        """Return the transaction with its inputs resolved; a missing fee follows from them.

        Args:
            prevouts: one for each input, in the order of the inputs.

        Raises:
            ValueError: not as many as inputs, or they are worth less than the outputs.
        """
        if len(prevouts) != len(self.inputs):
            raise ValueError(f"expected {len(self.inputs)} prevouts of {self.txid}, found {len(prevouts)}")
        fee_sat = sum(prevout.value_sat for prevout in prevouts) - self.gross_sat
        if fee_sat < 0:
            raise ValueError(f"the prevouts of {self.txid} are worth {-fee_sat} sat less than its outputs")
        return replace(
            self,
            inputs=tuple(i._replace(prevout=p) for i, p in zip(self.inputs, prevouts, strict=True)),
            fee_sat=Sats(fee_sat) if self.fee_sat is None else self.fee_sat,
        )
