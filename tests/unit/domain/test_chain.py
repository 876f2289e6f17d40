from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.chain import KEPT, RecentChain
from hydrophone.domain.units import Height


def name(height: int, branch: str = "") -> str:
    return f"{branch}{height}"


def test_a_growing_chain_makes_nothing_stale() -> None:
    chain = RecentChain()
    assert [chain.connect(Height(n), name(n), name(n - 1)) for n in range(100, 200)] == [None] * 100


def test_another_block_at_a_height_makes_that_height_stale() -> None:
    chain = RecentChain()
    chain.connect(Height(100), name(100), name(99))
    assert chain.connect(Height(100), name(100, "b"), name(99)) == range(100, 101)
    assert chain.connect(Height(101), name(101, "b"), name(100, "b")) is None


def test_another_parent_makes_the_height_below_stale() -> None:
    chain = RecentChain()
    for n in range(100, 103):
        chain.connect(Height(n), name(n), name(n - 1))
    assert chain.connect(Height(103), name(103, "b"), name(102, "b")) == range(102, 104)


def test_blocks_far_below_are_forgotten() -> None:
    chain = RecentChain()
    for n in range(100, 121 + KEPT):
        chain.connect(Height(n), name(n), name(n - 1))
    assert chain.hash_at(Height(120)) is None
    assert chain.told_at(Height(121)) == name(121)
    assert chain.connect(Height(120), name(120, "b"), name(119, "b")) is None


@given(st.integers(1, 30), st.integers(1, 10), st.integers(1, 10))
def test_a_reorg_listed_from_below_is_found_at_its_fork(length: int, depth: int, more: int) -> None:
    depth = min(depth, length)
    chain = RecentChain()
    for n in range(100, 100 + length):
        chain.connect(Height(n), name(n), name(n - 1))
    fork = 100 + length - depth
    parents = [name(fork - 1), *(name(n, "b") for n in range(fork, fork + depth + more))]
    found = [
        chain.connect(Height(fork + index), name(fork + index, "b"), parent)
        for index, parent in enumerate(parents[:-1])
    ]
    assert found == [range(fork, 100 + length)] + [None] * (depth + more - 1)


@given(st.integers(1, 30), st.integers(1, 10), st.integers(1, 10))
def test_a_reorg_told_from_its_tip_and_filled_in_undoes_each_height_once(
    length: int, depth: int, more: int
) -> None:
    """What is told of the new branch is never undone by what is told of its parents."""
    depth = min(depth, length)
    chain = RecentChain()
    for n in range(100, 100 + length):
        chain.connect(Height(n), name(n), name(n - 1))
    fork, tip = 100 + length - depth, 100 + length - 1 + more
    undone: list[int] = []
    for n in range(tip, fork - 1, -1):
        parent = name(n - 1) if n == fork else name(n - 1, "b")
        undone += chain.connect(Height(n), name(n, "b"), parent) or ()
    assert sorted(height for height in undone if height < 100 + length) == list(range(fork, 100 + length))
    assert [chain.told_at(Height(n)) for n in range(fork, tip + 1)] == [
        name(n, "b") for n in range(fork, tip + 1)
    ]


def test_a_branch_told_from_below_does_not_undo_the_tip_that_was_told_before() -> None:
    chain = RecentChain()
    for n in range(100, 104):
        chain.connect(Height(n), name(n), name(n - 1))
    assert chain.connect(Height(104), name(104, "b"), name(103, "b")) == range(103, 105)
    assert chain.connect(Height(101), name(101, "b"), name(100)) == range(101, 103)
    assert chain.told_at(Height(104)) == name(104, "b")
    assert chain.connect(Height(102), name(102, "b"), name(101, "b")) is None
    assert chain.connect(Height(103), name(103, "b"), name(102, "b")) is None


@given(st.lists(st.integers(100, 131)))
def test_blocks_told_again_make_nothing_stale(heights: list[int]) -> None:
    chain = RecentChain()
    for n in range(100, 132):
        chain.connect(Height(n), name(n), name(n - 1))
    assert all(chain.connect(Height(n), name(n), name(n - 1)) is None for n in heights)
