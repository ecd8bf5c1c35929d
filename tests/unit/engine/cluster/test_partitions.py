"""Which worker has which partition: every one exactly once, few move, nobody is overloaded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.cluster.partitions import assign, partition_of

NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12, unique=True)


def test_a_symbol_is_where_kafkas_own_producer_puts_it() -> None:
    # Of the Java client's DefaultPartitioner, and murmur2 of its own tests.
    assert partition_of(b"21", 1 << 31) == -973932308 & 0x7FFFFFFF
    assert partition_of(b"foobar", 1 << 31) == -790332482 & 0x7FFFFFFF
    assert partition_of(b"a-little-bit-long-string", 1 << 31) == -985981536 & 0x7FFFFFFF
    assert {partition_of(f"S{n}USDT".encode(), 32) for n in range(600)} == set(range(32))


@given(NAMES, st.integers(1, 200))
def test_every_partition_has_one_worker_and_none_has_many_more_than_the_average(
    workers: list[str], partitions: int
) -> None:
    found = assign(workers, partitions)
    assert sorted(found) == sorted(workers)
    assert sorted(at for mine in found.values() for at in mine) == list(range(partitions))
    assert max(map(len, found.values())) <= partitions / len(workers) * 1.1 + 1


@given(NAMES, st.integers(1, 64), st.randoms())
def test_the_order_of_the_workers_does_not_matter(workers: list[str], partitions: int, draw: object) -> None:
    others = list(workers)
    draw.shuffle(others)
    assert assign(workers, partitions) == assign(others, partitions)


def test_few_partitions_move_when_a_worker_leaves_or_comes() -> None:
    for count, partitions in ((2, 32), (4, 32), (8, 64), (10, 256)):
        moves = []
        for run in range(20):
            workers = [f"worker-{run}-{n}" for n in range(count)]
            whole, without = assign(workers, partitions), assign(workers[:-1], partitions)
            moved = sum(len(set(without[name]) - set(whole[name])) for name in workers[:-1])
            moves.append(moved / (partitions / count))
        assert sum(moves) / len(moves) < 1.35, (count, moves)


def test_without_workers_nobody_has_anything() -> None:
    assert assign([], 8) == {}
