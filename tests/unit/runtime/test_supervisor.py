import asyncio
import selectors
from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest

from hydrophone.errors import (
    ExitCode,
    HydrophoneError,
    ServiceExhausted,
    ServiceStopped,
    SourceRejected,
    SourceUnavailable,
    StoreFull,
)
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.supervisor import Service, Supervisor

DRAIN_S = 10.0
CANCEL_S = 1.0
DAY_S = 86_400
Ready = Callable[[], None]
Run = Callable[[Ready], Awaitable[None]]


class _Selector(selectors.DefaultSelector):
    """Lets time pass instead of waiting."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


def run(work: Awaitable[None]) -> float:
    """Run to the end and return how many seconds that would have taken."""

    async def limited() -> float:
        async with asyncio.timeout(DAY_S):
            await work
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(limited())


class Stage:
    """Services that write down what happens to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.pauses_s: list[float] = []
        self.supervisor = Supervisor(drain_s=DRAIN_S, new_backoff=self._backoff, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        await asyncio.sleep(seconds)

    @staticmethod
    def _backoff() -> Backoff:
        return Backoff(first_s=1, cap_s=60, random=Random(1))

    async def run(self, *services: Service) -> None:
        await self.supervisor.run(services, lambda: self.log.append("all ready"))

    def steady(self, name: str) -> Service:
        """Return a service that runs until it is cancelled."""

        async def run(ready: Ready) -> None:
            self.log.append(f"{name} starts")
            await asyncio.sleep(0.1)
            self.log.append(f"{name} ready")
            ready()
            await self._forever(name)

        return Service(name, run)

    def drained(self, name: str, takes_s: float) -> Service:
        """Return a service that needs time to finish what it has."""
        closed = asyncio.Event()

        async def run(ready: Ready) -> None:
            ready()
            await closed.wait()
            try:
                await asyncio.sleep(takes_s)
            except asyncio.CancelledError:
                self.log.append(f"{name} cancelled")
                raise
            self.log.append(f"{name} finished")

        def drain() -> None:
            self.log.append(f"{name} drains")
            closed.set()

        return Service(name, run, drain)

    def stubborn(self, name: str, drain: Callable[[], None] | None = None) -> Service:
        """Return a service that does not hear that it is cancelled, for an hour."""

        async def run(ready: Ready) -> None:
            ready()
            while asyncio.get_running_loop().time() < 3_600:
                try:
                    await asyncio.sleep(3_600)
                except asyncio.CancelledError:
                    self.log.append(f"{name} ignores it")

        return Service(name, run, drain)

    def failing(self, name: str, errors: Sequence[Exception], *, after_s: float = 1.0) -> Service:
        """Return a service that fails once for each error and then runs."""
        left = list(errors)

        async def run(ready: Ready) -> None:
            self.log.append(f"{name} starts")
            ready()
            await asyncio.sleep(after_s)
            if left:
                raise left.pop(0)
            await self._forever(name)

        return Service(name, run)

    def stopping_after(self, seconds: float) -> Service:
        """Return a service that asks for the end of all."""

        async def run(ready: Ready) -> None:
            ready()
            await asyncio.sleep(seconds)
            self.supervisor.stop()
            await self._forever("stopper")

        return Service("stopper", run)

    async def _forever(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append(f"{name} ends")


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- start and stop


def test_each_is_ready_before_the_next_starts_and_they_end_in_reverse(stage: Stage) -> None:
    run(stage.run(stage.steady("store"), stage.steady("detection"), stage.stopping_after(5)))
    assert stage.log == [
        "store starts",
        "store ready",
        "detection starts",
        "detection ready",
        "all ready",
        "stopper ends",
        "detection ends",
        "store ends",
    ]


def test_each_is_drained_before_the_next_is_asked(stage: Stage) -> None:
    took_s = run(stage.run(stage.drained("store", 2), stage.drained("detection", 3), stage.stopping_after(1)))
    assert stage.log[1:] == [
        "stopper ends",
        "detection drains",
        "detection finished",
        "store drains",
        "store finished",
    ]
    assert took_s == pytest.approx(1 + 3 + 2)


def test_the_end_of_the_last_one_ends_all(stage: Stage) -> None:
    async def read_all(ready: Ready) -> None:
        ready()
        await asyncio.sleep(1)

    run(stage.run(stage.drained("detection", 1), Service("source", read_all)))
    assert stage.log == ["all ready", "detection drains", "detection finished"]


def test_a_last_one_that_ends_at_once_was_ready_all_the_same(stage: Stage) -> None:
    async def read_nothing(ready: Ready) -> None:
        ready()

    run(stage.run(stage.drained("detection", 1), Service("source", read_nothing)))
    assert stage.log == ["all ready", "detection drains", "detection finished"]


def test_an_end_asked_for_before_the_start_is_heard(stage: Stage) -> None:
    stage.supervisor.stop()
    run(stage.run(stage.steady("store"), stage.steady("detection")))
    assert "detection starts" not in stage.log
    assert "all ready" not in stage.log


def test_an_end_asked_for_while_one_starts_stops_those_before_it(stage: Stage) -> None:
    async def never_ready(_ready: Ready) -> None:
        asyncio.get_running_loop().call_later(5, stage.supervisor.stop)
        await asyncio.Event().wait()

    run(stage.run(stage.steady("store"), Service("slow", never_ready), stage.steady("source")))
    assert stage.log == ["store starts", "store ready", "store ends"]


def test_one_that_ends_before_it_is_ready_ends_the_start(stage: Stage) -> None:
    async def give_up(_ready: Ready) -> None:
        return

    run(stage.run(stage.steady("store"), Service("hollow", give_up), stage.steady("source")))
    assert stage.log == ["store starts", "store ready", "store ends"]


def test_one_that_is_cancelled_from_outside_stops_its_services(stage: Stage) -> None:
    async def work() -> None:
        task = asyncio.create_task(stage.run(stage.steady("store")))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    run(work())
    assert stage.log == ["store starts", "store ready", "all ready", "store ends"]


# --- failures


def test_a_transient_failure_is_retried_after_growing_pauses(stage: Stage) -> None:
    errors = [SourceUnavailable(f"attempt {n}") for n in range(3)]
    run(stage.run(stage.failing("source", errors), stage.stopping_after(60)))
    assert stage.log.count("source starts") == 4
    assert len(stage.pauses_s) == 3
    assert stage.pauses_s == sorted(stage.pauses_s)


@pytest.mark.parametrize(
    ("kind", "exit_code"), [(SourceUnavailable, ExitCode.SOURCE), (StoreFull, ExitCode.STORE)]
)
def test_after_an_hour_a_failing_service_is_exhausted_and_the_exit_code_says_whose_trouble_it_was(
    stage: Stage, kind: type[HydrophoneError], exit_code: ExitCode
) -> None:
    errors = [kind(f"attempt {n}") for n in range(10_000)]
    with pytest.raises(ServiceExhausted, match="source has failed for an hour: attempt") as caught:
        run(stage.run(stage.steady("store"), stage.failing("source", errors)))
    assert caught.value.exit_code is exit_code
    assert isinstance(caught.value.__cause__, kind)
    assert 3_500 < sum(stage.pauses_s) < 3_700
    assert stage.log[-1] == "store ends"


def test_old_failures_are_forgiven_and_pauses_begin_anew(stage: Stage) -> None:
    errors = [SourceUnavailable(f"attempt {n}") for n in range(20)]
    run(stage.run(stage.failing("source", errors, after_s=601), stage.stopping_after(20 * 700)))
    assert stage.log.count("source starts") == 21
    assert max(stage.pauses_s) <= 1


def test_half_an_hour_of_failures_is_survived(stage: Stage) -> None:
    errors = [SourceUnavailable(f"attempt {n}") for n in range(40)]
    run(stage.run(stage.failing("source", errors), stage.stopping_after(7_200)))
    assert stage.log.count("source starts") == 41


@pytest.mark.parametrize(
    "error", [SourceRejected("bad subscription"), KeyError("a bug")], ids=["ours", "bug"]
)
def test_any_other_failure_ends_all_and_is_raised(stage: Stage, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        run(stage.run(stage.steady("store"), stage.failing("detection", [error]), stage.steady("source")))
    assert caught.value is error
    assert stage.log[-2:] == ["source ends", "store ends"]
    assert stage.pauses_s == []


def test_a_failure_before_it_is_ready_ends_the_start(stage: Stage) -> None:
    async def fail(_ready: Ready) -> None:
        raise SourceRejected("no")

    with pytest.raises(SourceRejected):
        run(stage.run(stage.steady("store"), Service("broken", fail), stage.steady("source")))
    assert stage.log == ["store starts", "store ready", "store ends"]


def test_a_failure_of_one_that_runs_ends_the_start_of_another(stage: Stage) -> None:
    async def wait_for_it(_ready: Ready) -> None:
        await asyncio.Event().wait()

    with pytest.raises(SourceRejected):
        run(stage.run(stage.failing("first", [SourceRejected("no")]), Service("second", wait_for_it)))


def test_the_first_failure_is_raised_and_not_what_followed_from_stopping(stage: Stage) -> None:
    closed = asyncio.Event()

    async def fail_while_draining(ready: Ready) -> None:
        ready()
        await closed.wait()
        raise StoreFull("the last batch")

    store = Service("store", fail_while_draining, closed.set)
    with pytest.raises(KeyError, match="the cause"):
        run(stage.run(store, stage.failing("detection", [KeyError("the cause")])))


def test_a_failure_while_stopping_is_raised_and_not_retried(stage: Stage) -> None:
    closed = asyncio.Event()

    async def fail_while_draining(ready: Ready) -> None:
        ready()
        await closed.wait()
        raise StoreFull("the last batch")

    with pytest.raises(StoreFull):
        run(
            stage.run(Service("store", fail_while_draining, closed.set), stage.stopping_after(1)),
        )
    assert stage.pauses_s == []


def test_one_in_its_pause_is_retried_while_it_is_drained(stage: Stage) -> None:
    """What it still has is not lost because the end was asked for during a pause."""
    closed = asyncio.Event()
    errors = [StoreFull("for now")]

    async def write(ready: Ready) -> None:
        ready()
        await asyncio.sleep(1)
        if errors:
            raise errors.pop()
        await closed.wait()
        stage.log.append("written")

    run(stage.run(Service("store", write, closed.set), stage.stopping_after(1.1)))
    assert stage.log[-1] == "written"


def test_one_that_was_cancelled_by_somebody_else_is_no_orderly_end(stage: Stage) -> None:
    async def await_a_cancelled_task(ready: Ready) -> None:
        ready()
        helper = asyncio.create_task(asyncio.sleep(60))
        helper.cancel()
        await helper

    with pytest.raises(ServiceStopped, match="source was cancelled"):
        run(stage.run(Service("source", await_a_cancelled_task), stage.steady("last")))


# --- what does not end


def test_a_drain_that_takes_too_long_is_cut_short(stage: Stage) -> None:
    took_s = run(stage.run(stage.drained("store", 3_600), stage.stopping_after(1)))
    assert stage.log[-2:] == ["store drains", "store cancelled"]
    assert took_s == pytest.approx(1 + DRAIN_S)


def test_those_that_ignore_their_end_are_left_behind_in_time(stage: Stage) -> None:
    services = [stage.stubborn(name, lambda: None) for name in ("a", "b", "c")]
    took_s = run(stage.run(*services, stage.stopping_after(1)))
    assert took_s <= 1 + DRAIN_S + CANCEL_S
    assert [line for line in stage.log if "ignores" in line][:3] == [f"{name} ignores it" for name in "cba"]


def test_one_that_ignores_its_end_leaves_the_others_time_to_drain(stage: Stage) -> None:
    took_s = run(stage.run(stage.drained("store", 5), stage.stubborn("source"), stage.stopping_after(1)))
    assert "store finished" in stage.log
    assert took_s == pytest.approx(1 + CANCEL_S + 5 + CANCEL_S)
