"""Starts services back to front, keeps them running, stops them front to back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hydrophone.errors import HydrophoneError, ServiceExhausted
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_BUDGET: Final = 5
"""# chosen: so many transient failures of one service within the window end the process."""
_WINDOW_S: Final = 600.0
"""# chosen: long enough that a flapping disk is noticed, short enough to forgive old trouble."""


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

    A failure marked transient is retried after a pause, within a budget; any other ends everything and
    is raised.

    Args:
        drain_s: how long stopping may take in all.
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

    def stop(self) -> None:
        """Ask for an orderly end; `run` returns when it is reached."""
        self._stopping.set()

    async def run(self, services: Sequence[Service], on_ready: Callable[[], None] = lambda: None) -> None:
        """Start the services in the order given, wait, stop them in reverse.

        Returns when `stop` was called, or when the last-started service ended by itself (its input closed).

        Raises:
            HydrophoneError: of the service that failed, after all were stopped.
        """
        try:
            for service in services:
                if not await self._start(service):
                    break
            else:
                on_ready()
                await self._wait(last=services[-1])
        finally:
            await self._stop_all()
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _start(self, service: Service) -> bool:
        """Start one and wait until it is ready; False when it ended, or an end was asked for, before."""
        ready = asyncio.Event()
        task = asyncio.create_task(self._keep_running(service, ready.set), name=service.name)
        self._tasks[service] = task
        await self._first_of(task, ready.wait(), self._stopping.wait())
        log.debug("service_started", service=service.name)
        return ready.is_set() and not task.done() and not self._stopping.is_set()

    async def _wait(self, last: Service) -> None:
        """Wait for the end: asked for, a failure, or the last one's input closed."""
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            running = set(self._tasks.values())
            while running and not stopping.done():
                done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                running -= done
                failed = any(t is not stopping and t.exception() is not None for t in done)
                if failed or self._tasks[last] in done:
                    return
        finally:
            stopping.cancel()

    async def _keep_running(self, service: Service, ready: Callable[[], None]) -> None:
        backoff = self._new_backoff()
        failures: list[float] = []
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await service.run(ready)
            except HydrophoneError as error:
                if not error.transient or self._stopping.is_set():
                    raise
                failures = [moment for moment in failures if moment > clock() - _WINDOW_S] + [clock()]
                if len(failures) > _BUDGET:
                    exhausted = ServiceExhausted(f"{service.name} failed {len(failures)} times: {error}")
                    exhausted.exit_code = error.exit_code
                    raise exhausted from error
                delay_s = backoff.next_s()
                log.warning(
                    "service_retried", service=service.name, error=str(error), delay_s=round(delay_s, 2)
                )
                await self._sleep(delay_s)
            else:
                return

    async def _stop_all(self) -> None:
        """Stop the newest first, each drained before the next, all within the time allowed."""
        self._stopping.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_s
        for service, task in reversed(self._tasks.items()):
            if service.drain is not None and not task.done():
                service.drain()
                await asyncio.wait({task}, timeout=max(0.0, deadline - loop.time()))
            if not task.done():
                task.cancel()
            await asyncio.wait({task}, timeout=max(1.0, deadline - loop.time()))
            if not task.done():
                log.error("service_stuck", service=service.name)
            log.debug("service_stopped", service=service.name)

    @staticmethod
    async def _first_of(task: asyncio.Task[None], *others: Awaitable[object]) -> None:
        waiters = [asyncio.ensure_future(other) for other in others]
        try:
            await asyncio.wait({task, *waiters}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiter
