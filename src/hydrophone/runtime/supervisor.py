"""Starts services back to front, keeps them running, stops them front to back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hydrophone.errors import HydrophoneError, ServiceExhausted, ServiceStopped
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_PATIENCE_S: Final = 3_600.0
"""# chosen: an hour to make room on a disk; what fails for longer does not mend itself."""
_FORGIVEN_S: Final = 600.0
"""# chosen: after so long without a failure the next one is the first."""
_CANCEL_S: Final = 1.0
"""# chosen: time to clean up after a cancellation, a closing handshake included."""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that runs.

    Attributes:
        name: for logs.
        run: runs until cancelled or its input closes; calls its argument once it is ready.
        drain: asks it to finish what it has and end; None: it is simply cancelled.
    """

    name: str
    run: Callable[[Callable[[], None]], Awaitable[None]]
    drain: Callable[[], None] | None = None


class Supervisor:
    """Runs services until told to stop, or until one fails for good.

    A failure marked transient is retried after a pause, until it has lasted for an hour; any other ends
    everything and is raised.

    Args:
        drain_s: how long stopping may take in all; what is still busy then is cancelled, and left behind
            when that does not end it within another second.
        new_backoff: makes the pauses between the attempts of one service.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        drain_s: float,
        new_backoff: Callable[[], Backoff],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._drain_s = drain_s
        self._new_backoff = new_backoff
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self._tasks: dict[Service, asyncio.Task[None]] = {}
        self._failure: Exception | None = None
        self._troubles: dict[str, str] = {}

    @property
    def troubles(self) -> Mapping[str, str]:
        """Services that pause between two attempts, and why the last one failed."""
        return self._troubles

    def stop(self) -> None:
        """Ask for an orderly end; `run` returns when it is reached."""
        self._stopping.set()

    async def run(
        self,
        services: Sequence[Service],
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the services in the order given, wait, stop them in reverse.

        Returns when `stop` was called, or when the last-started service ended by itself (its input closed).

        Args:
            services: back to front.
            on_ready: called when all have started.
            on_stopping: called when an end begins, whatever its reason.

        Raises:
            HydrophoneError: what failed first, after all were stopped; what fails while stopping is logged.
        """
        try:
            for service in services:
                if not await self._start(service):
                    break
            else:
                on_ready()
                await _first_of(self._tasks[services[-1]], self._stopping)
        finally:
            on_stopping()
            await self._stop_all()
        if self._failure is not None:
            raise self._failure

    async def _start(self, service: Service) -> bool:
        """Start one and wait until it is ready; False when it ended, or an end was asked for, before."""
        ready = asyncio.Event()
        task = asyncio.create_task(self._supervise(service, ready.set), name=service.name)
        self._tasks[service] = task
        await _first_of(task, ready, self._stopping)
        if not ready.is_set() or self._stopping.is_set():
            return False
        log.debug("service_started", service=service.name)
        return True

    async def _supervise(self, service: Service, ready: Callable[[], None]) -> None:
        """Run one service; its failure ends all, and `run` raises the first."""
        try:
            await self._keep_running(service, ready)
        except Exception as error:
            if self._failure is None:
                self._failure = error
            else:
                log.exception("service_failed", service=service.name)
            self._stopping.set()

    async def _keep_running(self, service: Service, ready: Callable[[], None]) -> None:
        backoff = self._new_backoff()
        failing_since = last_failure_at = float("-inf")
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await service.run(ready)
            except asyncio.CancelledError as error:
                if self._stopping.is_set():
                    raise
                raise ServiceStopped(f"{service.name} was cancelled, and not by its supervisor") from error
            except HydrophoneError as error:
                if not error.transient or self._stopping.is_set():
                    raise
                now = clock()
                if now - last_failure_at > _FORGIVEN_S:
                    failing_since = now
                    backoff.reset()
                last_failure_at = now
                if now - failing_since > _PATIENCE_S:
                    exhausted = ServiceExhausted(f"{service.name} has failed for an hour: {error}")
                    exhausted.exit_code = error.exit_code
                    raise exhausted from error
                delay_s = backoff.next_s()
                log.warning(
                    "service_retried", service=service.name, error=str(error), delay_s=round(delay_s, 2)
                )
                self._troubles[service.name] = str(error)
                try:
                    await self._sleep(delay_s)
                finally:
                    del self._troubles[service.name]
            else:
                return

    async def _stop_all(self) -> None:
        """Stop the newest first, each drained before the next."""
        self._stopping.set()
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._drain_s
        for service, task in reversed(self._tasks.items()):
            if service.drain is not None and not task.done():
                service.drain()
                await asyncio.wait({task}, timeout=max(0.0, deadline - clock()))
            task.cancel()
            await asyncio.wait({task}, timeout=max(0.0, min(_CANCEL_S, deadline - clock())))
            log.debug("service_stopped", service=service.name)
        busy = {task for task in self._tasks.values() if not task.done()}
        if busy:
            _, stuck = await asyncio.wait(busy, timeout=_CANCEL_S)
            for task in stuck:
                log.error("service_stuck", service=task.get_name())


async def _first_of(task: asyncio.Task[None], *events: asyncio.Event) -> None:
    """Wait until the task has ended or an event is set."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait({task, *waiters}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
