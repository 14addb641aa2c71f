"""Measures of retrieval: within bounds, 1 for a perfect ranking, less for a later find."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.knowledge.evaluation import CaseScores, distinct, file_names, found_at, measured, scores_of
from unit.found_chunks import found

FILES = file_names(["file0.txt", "file0", "file1.txt", "file1"])
counts = st.lists(st.integers(0, 2), max_size=12)


@given(counts, st.integers(0, 5), st.integers(1, 10))
def test_measures_lie_between_0_and_1(found_counts: list[int], more: int, k: int) -> None:
    one = scores_of(found_counts, max(1, sum(found_counts) + more), k)
    for value in (one.recall, one.reciprocal_rank, one.ndcg):
        assert 0 <= value <= 1
    assert (one.recall == 0) == (one.reciprocal_rank == 0) == (one.ndcg == 0)


@given(st.integers(1, 5), st.integers(0, 5))
def test_a_perfect_ranking_has_1_in_everything(expected: int, rest: int) -> None:
    one = scores_of([1] * expected + [0] * rest, expected, 5)
    assert one == CaseScores(1.0, 1.0, pytest.approx(1.0))


@given(st.integers(0, 8), st.integers(1, 9))
def test_an_earlier_find_is_never_worse(place: int, k: int) -> None:
    later, sooner = [0] * (place + 1) + [1], [0] * place + [1, 0]
    worse, better = scores_of(later, 1, k), scores_of(sooner, 1, k)
    assert worse.recall <= better.recall
    assert worse.reciprocal_rank < better.reciprocal_rank or better.reciprocal_rank == 0
    assert worse.ndcg < better.ndcg or better.ndcg == 0


@given(counts, st.integers(1, 10))
def test_what_stands_behind_k_does_not_count(found_counts: list[int], k: int) -> None:
    expected = max(1, sum(found_counts))
    assert scores_of(found_counts, expected, k) == scores_of(found_counts[:k], expected, k)


def test_known_values() -> None:
    one = scores_of([0, 1, 0, 1], 2, 5)
    assert one == CaseScores(1.0, 0.5, pytest.approx((0.6309 + 0.4307) / (1 + 0.6309), abs=1e-3))
    assert scores_of([0, 1], 4, 5).recall == 0.25


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=8))
def test_means_lie_between_the_least_and_the_most(values: list[tuple[float, float, float]]) -> None:
    cases = [CaseScores(*one) for one in values]
    mean = measured(cases)
    for got, of in ((mean.recall, 0), (mean.mrr, 1), (mean.ndcg, 2)):
        assert min(one[of] for one in values) - 1e-9 <= got <= max(one[of] for one in values) + 1e-9
    assert mean.failed == tuple(number for number, one in enumerate(values) if one[1] == 0)


@pytest.mark.parametrize(
    "expected",
    ["file1.txt", "FILE1.TXT", "file1", "two  years", "Two\nyears", "保修期为两年"],
)
def test_a_file_is_expected_by_name_or_id_and_a_text_whatever_its_white_space(expected: str) -> None:
    chunks = [found("nothing", 0, 7, file="file0"), found("It lasts two years.\n保修期\n为两年。", 0, 99, file="file1")]
    assert found_at(chunks, [expected], FILES) == [0, 1]


names = st.text(alphabet="aB.\n", min_size=1, max_size=3).filter(str.strip)


@given(
    st.lists(st.tuples(names, st.text(alphabet="aB. ", max_size=6)), max_size=6),
    st.lists(names, min_size=1, max_size=4),
    st.lists(names, max_size=3),
)
def test_what_names_a_file_is_met_in_that_file_alone_and_anything_else_in_a_text(
    passages: list[tuple[str, str]], expected: list[str], more_files: list[str]
) -> None:
    chunks = [replace(found(text, 0, 99), file_name=name) for name, text in passages]
    files = [*(name for name, _ in passages), *more_files]
    wanted = list(dict.fromkeys(map(said, expected)))
    counts = found_at(chunks, expected, file_names(files))
    first = dict.fromkeys(wanted, -1)
    for one in wanted:
        is_file = one in map(said, files)
        places = (said(name) == one if is_file else one in said(text) for name, text in passages)
        first[one] = next((number for number, is_met in enumerate(places) if is_met), -1)
    assert counts == [list(first.values()).count(number) for number in range(len(chunks))]


def said(text: str) -> str:
    return "".join(text.split()).casefold()


def test_a_file_that_a_passage_only_mentions_is_not_found_there() -> None:
    chunks = [found("See file1.txt, or file1.", 0, 99, file="file0"), found("Here.", 0, 99, file="file1")]
    assert found_at(chunks, ["file1.txt"], FILES) == [0, 1]
    assert found_at(chunks, ["file1.txt"], ()) == [1, 0]


def test_what_was_met_once_is_not_met_again() -> None:
    chunks = [found("a b c", 0, 5, number=number) for number in range(3)]
    assert found_at(chunks, ["a b", "c", "z"], ()) == [2, 0, 0]


@given(st.lists(st.text(alphabet="aB \n", max_size=3), max_size=6))
def test_what_is_expected_twice_is_expected_once(expected: list[str]) -> None:
    said = ["".join(one.split()).casefold() for one in expected]
    assert ["".join(one.split()).casefold() for one in distinct(expected)] == [
        one for one in dict.fromkeys(said) if one
    ]
