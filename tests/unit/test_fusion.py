"""Fusion by rank: what is better in both is better, and what has no weight has no say."""

from hypothesis import given
from hypothesis import strategies as st

from domain.ids import ChunkId
from domain.knowledge.fusion import FUSION, fused, hybrid
from domain.knowledge.retrieval import Hit

rankings = st.lists(st.integers(0, 30), unique=True, max_size=15).map(
    lambda ids: [Hit(ChunkId(number), 1.0 - place / 100) for place, number in enumerate(ids)]
)
weights = st.floats(0.01, 10)
ks = st.floats(0, 100)


def ids(hits: list[Hit]) -> list[int]:
    return [hit.chunk_id for hit in hits]


def scores(hits: list[Hit]) -> dict[int, float]:
    return {hit.chunk_id: hit.score for hit in hits}


@given(st.lists(st.tuples(rankings, weights), max_size=4), ks)
def test_every_chunk_of_a_ranking_comes_once_with_a_score_from_0_to_1(
    several: list[tuple[list[Hit], float]], k: float
) -> None:
    found = fused(several, k)
    assert sorted(ids(found)) == sorted({hit.chunk_id for hits, _ in several for hit in hits})
    assert all(0 < hit.score <= 1 for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


@given(rankings, weights, ks)
def test_one_ranking_alone_keeps_its_order(one: list[Hit], weight: float, k: float) -> None:
    assert ids(fused([(one, weight)], k)) == ids(one)


@given(rankings, st.lists(weights, min_size=1, max_size=3), ks)
def test_rankings_that_agree_keep_their_order_and_the_first_has_1(
    one: list[Hit], several: list[float], k: float
) -> None:
    found = fused([(one, weight) for weight in several], k)
    assert ids(found) == ids(one)
    assert not found or found[0].score > 0.999999


@given(rankings, rankings, weights, weights, ks)
def test_whichever_ranking_is_named_first_the_scores_are_the_same(
    one: list[Hit], other: list[Hit], first: float, second: float, k: float
) -> None:
    there, back = fused([(one, first), (other, second)], k), fused([(other, second), (one, first)], k)
    assert scores(there) == scores(back)


@given(rankings, rankings, weights, weights, ks)
def test_what_is_better_in_both_is_better(
    one: list[Hit], other: list[Hit], first: float, second: float, k: float
) -> None:
    found = scores(fused([(one, first), (other, second)], k))
    for left in ids(one):
        for right in ids(one):
            both = left in ids(other) and right in ids(other)
            if (
                both
                and ids(one).index(left) < ids(one).index(right)
                and ids(other).index(left) < ids(other).index(right)
            ):
                assert found[left] > found[right]


@given(rankings, rankings, weights, ks)
def test_a_ranking_without_weight_has_no_say(one: list[Hit], other: list[Hit], weight: float, k: float) -> None:
    assert fused([(one, weight), (other, 0.0)], k) == fused([(one, weight)], k)


@given(rankings, ks)
def test_the_scores_that_went_in_do_not_matter(one: list[Hit], k: float) -> None:
    rescored = [Hit(hit.chunk_id, -hit.score) for hit in one]
    assert fused([(one, 1.0)], k) == fused([(rescored, 1.0)], k)


def test_a_chunk_that_comes_twice_in_a_ranking_counts_once() -> None:
    twice = [Hit(ChunkId(1), 1.0), Hit(ChunkId(1), 0.9), Hit(ChunkId(2), 0.5)]
    assert fused([(twice, 1.0)], 60) == fused([([twice[0], twice[2]], 1.0)], 60)


@given(rankings, rankings)
def test_without_vectors_the_lexical_ranking_is_all_there_is(dense: list[Hit], lexical: list[Hit]) -> None:
    assert ids(hybrid(None, lexical)) == ids(lexical)
    assert set(ids(hybrid(dense, lexical))) == {*ids(dense), *ids(lexical)}
    assert ids(hybrid(dense, [])) == ids(dense)
    assert FUSION.dense > 0
    assert FUSION.lexical > 0
