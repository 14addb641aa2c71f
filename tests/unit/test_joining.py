"""Neighbours become one passage, whose text is the document's, exactly."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.joining import LONGEST, joined, passages_of
from domain.knowledge.retrieval import FoundChunk
from unit.found_chunks import found, ranked

Ranked = tuple[dict[str, str], list[tuple[FoundChunk, float]]]


@given(ranked())
def test_a_passage_is_exactly_the_text_between_its_offsets(case: Ranked) -> None:
    files, chunks = case
    for one in joined(chunks):
        assert one.content == files[one.knowledge_file_id][one.start : one.end]


@given(ranked())
def test_passages_of_a_file_neither_touch_nor_leave_anything_out(case: Ranked) -> None:
    _, chunks = case
    passages = joined(chunks)
    for file in {chunk.knowledge_file_id for chunk, _ in chunks}:
        spans = sorted((one.start, one.end) for one in passages if one.knowledge_file_id == file)
        assert all(left[1] < right[0] for left, right in pairwise(spans))
        shown = {at for start, end in spans for at in range(start, end)}
        assert shown == {
            at for chunk, _ in chunks if chunk.knowledge_file_id == file for at in range(chunk.start, chunk.end)
        }


@given(ranked(), st.randoms(use_true_random=False))
def test_the_order_of_chunks_makes_no_difference_but_among_equals(case: Ranked, random: object) -> None:
    _, chunks = case
    mixed = list(chunks)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert {(one.start, one.end, one.score, one.content) for one in joined(chunks)} == {
        (one.start, one.end, one.score, one.content) for one in joined(mixed)
    }


@given(ranked(), st.integers(1, 5))
def test_at_most_so_many_passages_best_first_and_the_best_chunk_is_in_the_first(case: Ranked, most: int) -> None:
    _, chunks = case
    passages = passages_of(chunks, most)
    assert len(passages) <= most
    assert [one.score for one in passages] == sorted((one.score for one in passages), reverse=True)
    assert bool(passages) == bool(chunks)
    if chunks:
        best = chunks[0][0]
        assert passages[0].start <= best.start <= best.end <= passages[0].end
        assert passages[0].knowledge_file_id == best.knowledge_file_id


@given(ranked())
def test_nothing_is_left_out_while_there_is_room(case: Ranked) -> None:
    _, chunks = case
    assert passages_of(chunks, 99) == joined(chunks)


def test_a_gap_is_not_bridged_but_the_chunk_between_joins_all() -> None:
    text = "0123456789"
    left, right, between = (found(text, 0, 4, number=1), found(text, 6, 10, number=2), found(text, 4, 6, number=3))
    assert len(joined([(left, 0.9), (right, 0.8)])) == 2
    [one] = joined([(left, 0.9), (right, 0.8), (between, 0.1)])
    assert (one.content, one.score) == (text, 0.9)


def test_chunks_that_disagree_about_what_they_share_stay_apart() -> None:
    left, right = found("abcdef", 0, 4, number=1), found("abXdef", 2, 6, number=2)
    assert [one.content for one in joined([(left, 0.9), (right, 0.8)])] == ["abcd", "Xdef"]


def test_the_page_is_the_one_where_the_passage_begins() -> None:
    text = "0123456789"
    later, first = found(text, 4, 9, number=2, page=3), found(text, 0, 5, number=1)
    [one] = joined([(later, 0.9), (first, 0.1)])
    assert (one.page, one.start) == (None, 0)


def test_a_passage_does_not_grow_for_ever() -> None:
    text = "word " * 10_000
    chunks = [(found(text, at, at + 1000, number=at), 0.5) for at in range(0, 50_000, 1000)]
    passages = joined(chunks)
    assert max(len(one.content) for one in passages) <= LONGEST
    assert "".join(one.content for one in sorted(passages, key=lambda one: one.start)) == text
