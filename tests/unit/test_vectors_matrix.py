"""The exact search in memory, against sorting everything."""

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.database.vectors_matrix import Matrix, can_be_near, empty, nearest
from domain.embeddings import Vector

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
