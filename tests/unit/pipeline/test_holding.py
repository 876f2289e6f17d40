from hydrophone.domain.questions import AboutTip, AboutTransaction, Question
from hydrophone.domain.units import Txid
from hydrophone.pipeline.holding import HoldingAsker
from tests.builders import txid_of

LOW = [AboutTransaction(Txid(txid_of(f"low {n}"))) for n in range(4)]
HIGH = AboutTransaction(Txid(txid_of("high")))


class Backend:
    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ask(self, question: Question) -> None:
        self.asked.append(question)


def make(capacity: int = 10) -> tuple[HoldingAsker, Backend]:
    backend = Backend()
    return HoldingAsker(backend, LOW.__contains__, capacity=capacity), backend


def test_everything_is_asked_while_there_is_memory() -> None:
    asker, backend = make()
    for question in (LOW[0], HIGH, AboutTip()):
        asker.ask(question)
    assert backend.asked == [LOW[0], HIGH, AboutTip()]
    assert asker.held_count == 0


def test_what_can_wait_waits_and_is_asked_once_when_there_is_memory_again() -> None:
    asker, backend = make()
    asker.hold()
    for question in (LOW[0], HIGH, LOW[1], LOW[0], AboutTip()):
        asker.ask(question)
    assert backend.asked == [HIGH, AboutTip()]
    assert (asker.waiting_count, asker.held_count) == (2, 2)
    asker.release()
    assert backend.asked == [HIGH, AboutTip(), LOW[0], LOW[1]]
    assert asker.waiting_count == 0
    asker.ask(LOW[2])
    assert backend.asked[-1] == LOW[2]


def test_beyond_its_capacity_questions_are_refused_and_counted() -> None:
    asker, backend = make(capacity=2)
    asker.hold()
    for question in LOW:
        asker.ask(question)
    assert (asker.waiting_count, asker.refused_count) == (2, 2)
    asker.release()
    assert backend.asked == LOW[:2]


def test_each_that_is_held_is_counted_once() -> None:
    asker, _ = make()
    assert asker.hold() == 0
    asker.ask(LOW[0])
    asker.ask(LOW[1])
    assert [asker.hold(), asker.hold()] == [2, 0]
    asker.release()
    asker.hold()
    asker.ask(LOW[2])
    assert asker.hold() == 1
