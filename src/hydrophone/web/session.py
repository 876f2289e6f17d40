"""One client's conversation: what it says in, what it is answered out. No I/O, and the time is an argument.

A client is live (it gets what is said, by its filter), silent (it unsubscribed), or it catches up: then it is
sent the record from `since` on, piece by piece, and nothing live. It has had everything up to one index, and
becomes live at the moment that this is the newest: nothing is missing between the two, and nothing doubled.

**Sources**: ADR 23.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, assert_never

from hydrophone.errors import MalformedMessage, UnsupportedMessage
from hydrophone.pipeline.ports import Clock
from hydrophone.web.journal import Entry, Journal, is_for
from hydrophone.wire.socket_v1 import (
    EVERYTHING,
    Authenticate,
    ClientSays,
    FiltersV1,
    Ping,
    ResyncRequiredV1,
    Subscribe,
    SubscriptionId,
    Unsubscribe,
    encode_authenticated,
    encode_error,
    encode_pong,
    encode_resync_required,
    encode_subscribed,
    encode_unsubscribed,
    parse_client_message,
)

MESSAGES_PER_S: Final = 20
"""Sources: the public interface, limits of the alert websocket."""
REPLAYED_AT_MOST: Final = 50_000
"""Entries that may lie between `since` and now. # chosen: about a week of a busy mempool, five times what the
interface promises; whoever was away longer asks for the predictions instead."""

Trouble = Literal["too_old", "not_kept", "ahead", "unavailable"]


class Reply(NamedTuple):
    """What to do with what a client said.

    Attributes:
        messages: to send, in order.
        close: why the connection is to be closed for abuse; None: it stays.
    """

    messages: tuple[bytes, ...] = ()
    close: str | None = None


@dataclass(slots=True, eq=False)
class Wish:
    """What a client that catches up is to be sent.

    Attributes:
        filters: what it asked for.
        since: up to which index it has had everything.
        id: what it calls its subscription.
    """

    filters: FiltersV1
    since: int
    id: SubscriptionId


class Session:
    """One client's conversation.

    Args:
        journal: what was said lately.
        clock: the time said in answers.
        has_store: whether what the journal does not keep can be read.
    """

    __slots__ = ("_arrivals", "_clock", "_has_store", "_journal", "filters", "wish")

    def __init__(self, journal: Journal, clock: Clock, *, has_store: bool) -> None:
        self._journal = journal
        self._clock = clock
        self._has_store = has_store
        self._arrivals: deque[float] | None = None  # most clients never say anything
        self.filters: FiltersV1 | None = EVERYTHING
        self.wish: Wish | None = None

    @property
    def audience(self) -> FiltersV1 | None:
        """What it gets of what is said now; None: only what everybody gets."""
        return None if self.wish is not None else self.filters

    def receive(self, raw: bytes | str, at_s: float) -> Reply:
        """Take what a client said. What it was entitled to has been written before.

        Args:
            raw: a whole message.
            at_s: when, by a clock that never jumps.
        """
        self._arrivals = self._arrivals or deque(maxlen=MESSAGES_PER_S)
        if len(self._arrivals) == MESSAGES_PER_S and at_s - self._arrivals[0] < 1.0:
            return Reply(close=f"more than {MESSAGES_PER_S} messages a second")
        self._arrivals.append(at_s)
        try:
            said = parse_client_message(raw)
        except UnsupportedMessage as error:
            return Reply((encode_error("unsupported_message", str(error), self._clock()),))
        except MalformedMessage as error:
            return Reply((encode_error("malformed", str(error), self._clock()),))
        return Reply(self._answer(said))

    def _answer(self, said: ClientSays) -> tuple[bytes, ...]:
        match said:
            case Subscribe():
                return self._subscribe(said)
            case Unsubscribe():
                self.filters = self.wish = None
                return (encode_unsubscribed(said, self._clock()),)
            case Ping():
                return (encode_pong(self._position, self._clock()),)
            case Authenticate():
                return (encode_authenticated(self._clock()),)
            case _:
                assert_never(said)

    @property
    def _position(self) -> int | None:
        """Index up to which it got all it asked for; None: it asks for nothing."""
        if self.wish is not None:
            return self.wish.since
        return None if self.filters is None else self._journal.head

    def _subscribe(self, said: Subscribe) -> tuple[bytes, ...]:
        head = self._journal.head
        self.filters = EVERYTHING if said.filters == EVERYTHING else said.filters
        self.wish = None
        answer = encode_subscribed(said, head, self._clock())
        if said.since is None or said.since == head:
            return (answer,)
        if said.since > head:
            return answer, self._resync("ahead", said.since, said.id)
        is_kept = self._has_store or said.since >= self._journal.oldest
        if not is_kept or head - said.since > REPLAYED_AT_MOST:
            return answer, self._resync("too_old", said.since, said.id)
        self.wish = Wish(self.filters, said.since, said.id)
        return (answer,)

    def catch_up(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the frames of what it is to get of the entries that follow what it has had.

        Args:
            entries: without a hole from the index after `wish.since` on; with the newest it becomes live.
        """
        assert self.wish is not None, "it is not catching up"
        assert entries[0].seq == self.wish.since + 1, "expected the entry that follows"
        frames = [entry.frame for entry in entries if is_for(self.wish.filters, entry)]
        newest = entries[-1].seq
        assert newest is not None, "expected entries of the record"
        self.wish.since = newest
        if newest == self._journal.head:
            self.wish = None
        return frames

    def give_up(self, reason: Trouble) -> bytes:
        """Become live though something was not sent, and return the message that says so."""
        assert self.wish is not None, "it is not catching up"
        wish, self.wish = self.wish, None
        return self._resync(reason, wish.since, wish.id)

    def _resync(self, reason: Trouble, since: int, subscription_id: SubscriptionId) -> bytes:
        data = ResyncRequiredV1(subscription_id, reason, since, self._journal.head)
        return encode_resync_required(data, self._clock())
