"""The exact search in memory, against sorting everything."""

import struct
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters.database.vectors.vectors_matrix import Matrix, can_be_near, differences, empty, nearest, numbers
from domain.knowledge.embeddings import Vector

PAIRS = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


def packed(*floats: float) -> Vector:
    return Vector(struct.pack(f"<{len(floats)}f", *floats))


def matrix_of(*portions: list[tuple[int, Vector]]) -> Matrix:
    return empty(2).with_more(portions)


@given(pairs=st.lists(PAIRS, max_size=40), query=PAIRS, limit=st.integers(1, 50), cuts=st.sets(st.integers(0, 40)))
def test_it_is_what_sorting_everything_gives(
    pairs: list[tuple[int, int]], query: tuple[int, int], limit: int, cuts: set[int]
) -> None:
    rows = [(number, packed(*pair)) for number, pair in enumerate(pairs, 1)]
    edges = [0, *sorted(cuts), 40]
    matrix = matrix_of(*(rows[first:last] for first, last in pairwise(edges)))
    scores = [(-(a * query[0] + b * query[1]), number) for number, (a, b) in enumerate(pairs, 1)]
    found = [(-hit.score, hit.chunk_id) for hit in nearest(matrix, packed(*query), limit)]
    assert found == sorted(scores)[:limit]


def test_equal_vectors_are_equal_wherever_they_lie() -> None:
    """Tens of thousands of the same one, in several blocks: the lowest ids win, and all score alike."""
    row = Vector(struct.pack("<2f", 0.6, 0.8))
    matrix = matrix_of(*[[(1000 * part + number, row) for number in range(1000)] for part in range(30)])
    assert len(matrix.blocks) > 1
    hits = nearest(matrix, packed(0.1, 0.7), 500)
    assert [hit.chunk_id for hit in hits] == list(range(500))
    assert len({hit.score for hit in hits}) == 1


def test_adding_leaves_what_was_there_as_it_was() -> None:
    before = matrix_of([(1, packed(1, 0))])
    after = before.with_more([[(2, packed(1, 0))], []])
    assert len(nearest(before, packed(1, 0), 9)) == 1
    assert len(nearest(after, packed(1, 0), 9)) == 2
    assert (before.last, after.last, after.seen) == (1, 2, 2)
    assert after.size == 2 * (2 * 4 + 8)


def test_unfit_rows_are_seen_but_not_kept() -> None:
    huge, half, nothing = packed(3e38, 3e38), packed(1), packed()
    matrix = matrix_of([(1, huge), (2, half), (3, nothing), (4, packed(float("nan"), 0)), (5, packed(1, 0))])
    assert matrix.seen == 5
    assert [hit.chunk_id for hit in nearest(matrix, packed(1, 0), 9)] == [5]


def test_only_numbers_can_be_near() -> None:
    assert can_be_near(packed(1, 0))
    for broken in (packed(), Vector(b"abc"), packed(float("inf")), packed(float("nan"), 1), packed(3e38)):
        assert not can_be_near(broken)


CHANGES = st.lists(st.tuples(st.booleans(), st.sets(st.integers(1, 60), max_size=30)), max_size=8)


@given(changes=CHANGES, query=PAIRS, limit=st.integers(1, 70), compacting=st.booleans())
def test_whatever_comes_and_goes_what_is_there_is_found(
    changes: list[tuple[bool, set[int]]], query: tuple[int, int], limit: int, compacting: bool
) -> None:
    """Every seventh is unfit. Removed are some that are not there, too, and they come again."""
    there: set[int] = set()
    matrix = empty(2)
    for comes, some in changes:
        if comes:
            new = sorted(some - there, reverse=True)
            matrix = matrix.with_more([[(one, packed(one % 5, one % 3) if one % 7 else packed(1)) for one in new]])
            there |= some
        else:
            matrix = matrix.without(np.array(sorted(some), np.int64))
            there -= some
        matrix = matrix.compacted() if compacting else matrix
    scores = [(-((one % 5) * query[0] + (one % 3) * query[1]), one) for one in there if one % 7]
    assert [(-hit.score, hit.chunk_id) for hit in nearest(matrix, packed(*query), limit)] == sorted(scores)[:limit]
    assert matrix.known().tolist() == sorted(there)
    assert matrix.seen == len(there)


def test_removing_copies_no_vectors_until_half_of_a_block_is_gone() -> None:
    rows = [(number, packed(number, 1)) for number in range(1, 30_001)]
    whole = matrix_of(*(rows[first : first + 10_000] for first in range(0, 30_000, 10_000)))
    few = whole.without(np.arange(1, 5_000)).compacted()
    assert all(one is other for one, other in zip(whole.blocks, few.blocks, strict=True))
    most = whole.without(np.arange(1, 15_001)).compacted()
    assert [len(block) for block in most.blocks] == [5_000 + 10_000]
    assert len(most.dead) == 0
    assert most.size == 15_000 * (2 * 4 + 8)
    assert [len(nearest(one, packed(1, 0), 40_000)) for one in (whole, few, most)] == [30_000, 25_001, 15_000]


def test_a_matrix_that_lost_everything_is_empty() -> None:
    matrix = matrix_of([(1, packed(1, 0)), (2, packed(1))]).without(np.array([1, 2])).compacted()
    assert (matrix.size, matrix.seen, matrix.last) == (0, 0, 0)
    assert nearest(matrix, packed(1, 0), 9) == []


@given(st.sets(st.integers(1, 50)), st.sets(st.integers(1, 50)))
def test_differences_are_those_of_sets(known: set[int], stored: set[int]) -> None:
    there = numbers(",".join(map(str, stored)))
    gone, new = differences(np.array(sorted(known), np.int64), there)
    assert ({*gone.tolist()}, {*new.tolist()}) == (known - stored, stored - known)
