"""Signals that may have to be corrected: what we learn tomorrow tells what a transaction was today."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hydrophone.domain.signal import Signal
from hydrophone.domain.transaction import OutPoint, Transaction

REMEMBERED_LIMIT: Final = 3_000
"""# chosen: more than a day of whales at 2,200 a day; deposits are mostly swept within hours. Some
20 MB with their transactions."""


class SignalMemory:
    """The newest signals, by the scripts in them and by the coins they spend."""

    def __init__(self) -> None:
        self._signals: dict[str, Signal] = {}
        self._doubtful: dict[str, str] = {}
        self._by_script: dict[bytes, tuple[str, ...]] = {}
        self._by_coin: dict[OutPoint, str] = {}

    def remember(self, signal: Signal) -> None:
        """Keep a signal instead of an earlier one of its prediction; beyond a limit the oldest is forgotten.

        What it rests on is not kept: it is worked out anew when it matters.
        """
        self.forget(signal.prediction_id)
        self._signals[signal.prediction_id] = replace(signal, flow=replace(signal.flow, evidence=None))
        for script in _scripts_of(signal):
            self._by_script[script] = (*self._by_script.get(script, ()), signal.prediction_id)
        self._by_coin.update(dict.fromkeys(_coins_of(signal.transaction), signal.prediction_id))
        if len(self._signals) > REMEMBERED_LIMIT:
            self.forget(next(iter(self._signals)))

    def forget(self, prediction_id: str) -> None:
        """Keep nothing of a prediction; harmless when nothing is kept."""
        signal = self._signals.pop(prediction_id, None)
        self._doubtful.pop(prediction_id, None)
        if signal is None:
            return
        for script in _scripts_of(signal):
            others = tuple([other for other in self._by_script.pop(script) if other != prediction_id])
            if others:
                self._by_script[script] = others
        for coin in _coins_of(signal.transaction):
            if self._by_coin.get(coin) == prediction_id:
                del self._by_coin[coin]

    def get(self, prediction_id: str) -> Signal | None:
        """Return the newest signal of a prediction, as it was said last; None when it is not kept."""
        return self._signals.get(prediction_id)

    def rivals_of(self, transaction: Transaction) -> list[Signal]:
        """Return the signals of other transactions that spend a coin of this one."""
        found = dict.fromkeys(self._by_coin.get(coin) for coin in _coins_of(transaction))
        rivals = [self._signals[prediction_id] for prediction_id in found if prediction_id is not None]
        return [signal for signal in rivals if signal.txid != transaction.txid]

    def doubt(self, scripts: Iterable[bytes], reason: str, *, besides: str) -> None:
        """Let the signals with one of these scripts on either side be looked at again, oldest first.

        Args:
            scripts: about which something is known now.
            reason: what.
            besides: prediction id of the signal that taught it.
        """
        found = {key for script in scripts for key in self._by_script.get(script, ())} - {besides}
        for prediction_id in [key for key in self._signals if key in found] if found else ():
            self._doubtful.setdefault(prediction_id, reason)

    def doubt_all(self, reason: str) -> None:
        """Let every signal be looked at again."""
        for prediction_id in self._signals:
            self._doubtful.setdefault(prediction_id, reason)

    @property
    def has_doubtful(self) -> bool:
        """Whether a signal is to be looked at again."""
        return bool(self._doubtful)

    def take_doubtful(self, limit: int) -> list[tuple[Signal, str]]:
        """Return the next signals to look at again, as they read now, each with the reason."""
        taken = [(key, self._doubtful.pop(key)) for key in list(self._doubtful)[:limit]]
        return [(self._signals[key], reason) for key, reason in taken]


def _scripts_of(signal: Signal) -> dict[bytes, None]:
    transaction = signal.transaction
    spent = [i.prevout.script for i in transaction.inputs if i.prevout is not None]
    return dict.fromkeys([*spent, *[output.script for output in transaction.outputs]])


def _coins_of(transaction: Transaction) -> list[OutPoint]:
    return [i.outpoint for i in transaction.inputs if i.outpoint is not None]
