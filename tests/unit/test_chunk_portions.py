"""Portions of chunks: every chunk in one, in order, and none of more terms than it may have."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from application.knowledge.chunk_portions import TERMS_AT_ONCE, portions
from stored_knowledge import new_chunk

sizes = st.lists(st.integers(0, 12), max_size=30)


@given(sizes, st.integers(0, 20))
def test_each_chunk_is_in_one_portion_and_none_has_too_many_terms(counts: list[int], most: int) -> None:
    new = [new_chunk(at, *["term"] * count) for at, count in enumerate(counts)]
    cut = list(portions(new, most))
    assert [chunk for some in cut for chunk in some] == new
    for some in cut:
        assert some
        assert len(some) == 1 or sum(len(chunk.terms) for chunk in some) <= most
    for some, behind in pairwise(cut):
        # Not smaller than need be: each costs a commit.
        assert sum(len(chunk.terms) for chunk in (*some, behind[0])) > most


def test_chunks_of_few_terms_stay_together() -> None:
    new = [new_chunk(at, *["term"] * (TERMS_AT_ONCE // 64)) for at in range(64)]
    assert list(portions(new)) == [new]
