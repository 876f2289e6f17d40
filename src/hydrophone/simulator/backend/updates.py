"""What the backend has to tell: parts that are written when the first client wants them, once for all."""

from collections.abc import Callable, Mapping, Sequence

from hydrophone.simulator.backend.js_text import frame

PROJECTED_BLOCK = "projected-block-transactions"


class Update:
    """One thing that happened, as the frames about it.

    Its parts have to be taken before the backend polls again: they are written from what it knows now.

    Args:
        parts: how each part is written, by what a client subscribes to, in the order of the frame.
        is_for_everyone: also for clients without any subscription.
        is_spaced: whether the frame is put together of parts, which shows in its spaces.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], str | None]],
        *,
        is_for_everyone: bool = False,
        is_spaced: bool = True,
    ) -> None:
        self.names = tuple(parts)
        self.is_for_everyone = is_for_everyone
        self._parts = parts
        self._is_spaced = is_spaced
        self._written: dict[str, str | None] = {}
        self._frames: dict[tuple[str, ...], str | None] = {}

    def part(self, name: str) -> str | None:
        """Return a part as JSON; None when there is nothing to say after all."""
        if name not in self._written:
            self._written[name] = self._parts[name]()
        return self._written[name]

    def frame(self, names: Sequence[str]) -> str | None:
        """Return the frame of some parts, in the order given; None when it has none of them."""
        key = tuple(names)
        if key not in self._frames:
            self._frames[key] = self._frame(key)
        return self._frames[key]

    def _frame(self, names: tuple[str, ...]) -> str | None:
        written = [(name.partition(":")[0], self.part(name)) for name in names]
        parts = [(key, text) for key, text in written if text is not None]
        if not parts:
            return "{}" if self.is_for_everyone else None
        if self._is_spaced:
            return frame(parts)
        return "{" + ",".join([f'"{key}":{text}' for key, text in parts]) + "}"
