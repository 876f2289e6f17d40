import asyncio

import pytest

from hydrophone.errors import StoreError
from hydrophone.pipeline.kept_answers import KeptAnswers


class Oracle:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.now_s = 0.0

    async def __call__(self, question: int) -> str:
        self.asked.append(question)
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return f"{question} at {self.now_s:g}"

    def kept(self) -> KeptAnswers[int, str]:
        return KeptAnswers(self, max_age_s=60, now=lambda: self.now_s)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_fresh_answer_is_given_again() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    assert [await kept.answer(1) for _ in range(3)] == ["1 at 0"] * 3
    assert oracle.asked == [1]


async def test_who_asks_for_ever_other_things_waits_while_we_rest() -> None:
    oracle = Oracle()
    pauses: list[float] = []

    async def compute(question: int) -> str:
        oracle.now_s += 0.5
        return str(question)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        oracle.now_s += seconds

    kept = KeptAnswers(compute, max_age_s=60, now=lambda: oracle.now_s, sleep=sleep)
    assert [await kept.answer(n) for n in range(3)] == ["0", "1", "2"]
    assert pauses == [1.5, 1.5]
    oracle.now_s += 2
    assert [await kept.answer(3), await kept.answer(3)] == ["3", "3"]
    assert len(pauses) == 2, "after a while nobody waits"


async def test_an_old_one_is_given_at_once_and_renewed_behind() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    await kept.answer(1)
    oracle.now_s = 61
    assert [await kept.answer(1) for _ in range(3)] == ["1 at 0"] * 3
    await settle()
    assert oracle.asked == [1, 1]
    assert await kept.answer(1) == "1 at 61"


async def test_those_who_ask_at_once_wait_for_one_answer() -> None:
    oracle = Oracle()
    oracle.hold = asyncio.Event()
    kept = oracle.kept()
    asking = [asyncio.create_task(kept.answer(1)) for _ in range(5)]
    await settle()
    oracle.hold.set()
    assert await asyncio.gather(*asking) == ["1 at 0"] * 5
    assert oracle.asked == [1]


async def test_what_cannot_be_renewed_stays_as_it_was() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    await kept.answer(1)
    oracle.now_s, oracle.error = 61, StoreError("busy")
    await kept.answer(1)
    await settle()
    assert await kept.answer(1) == "1 at 0"
    with pytest.raises(StoreError):
        await kept.answer(2)


async def test_only_a_few_are_kept() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    for question in range(20):
        await kept.answer(question)
    await kept.answer(0)
    assert len(oracle.asked) == 21


async def test_closing_breaks_off_what_is_being_computed() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    await kept.answer(1)
    oracle.now_s, oracle.hold = 61, asyncio.Event()
    await kept.answer(1)
    await settle()
    await kept.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_while_memory_is_short_one_answer_is_kept() -> None:
    oracle = Oracle()
    kept = oracle.kept()
    for question in (1, 2, 3):
        await kept.answer(question)
    assert [kept.shrink(), kept.shrink()] == [2, 0]
    await kept.answer(3)
    assert oracle.asked == [1, 2, 3], "the newest is still there"
    await kept.answer(4)
    assert kept.shrink() == 0, "no more is kept than one meanwhile"
    kept.grow()
    await kept.answer(5)
    assert [await kept.answer(4), await kept.answer(5)] == ["4 at 0", "5 at 0"]
    assert oracle.asked == [1, 2, 3, 4, 5]


async def test_what_is_too_old_is_not_given_any_more() -> None:
    oracle = Oracle()
    kept = KeptAnswers(oracle, max_age_s=1, oldest_s=2, now=lambda: oracle.now_s)
    assert await kept.answer(1) == "1 at 0"
    oracle.now_s = 1.5
    assert await kept.answer(1) == "1 at 0", "and a new one is made behind"
    await settle()
    assert await kept.answer(1) == "1 at 1.5"
    oracle.now_s = 3.6
    assert await kept.answer(1) == "1 at 3.6"
