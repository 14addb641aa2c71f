"""A base is measured by its owner's questions, by each way of ranking."""

import pytest

from adapters.scripted.embedder import embedding_failure
from application.evaluation import AT_ONCE, MOST_CASES, EvaluateKnowledge
from domain.errors import DomainError, NotFound
from domain.evaluation import EvaluationCase
from domain.ids import KnowledgeId, UserId
from kept_knowledge import KeptKnowledge

ADA, BOB = UserId("ada"), UserId("bob")


@pytest.fixture
def kept() -> KeptKnowledge:
    return KeptKnowledge()


def filled(kept: KeptKnowledge) -> KnowledgeId:
    base = kept.base(ADA)
    kept.file(base, "The roof is red.", "The warranty lasts two years.")
    kept.file(base, "猫在睡觉。", name="猫.txt")
    return base


async def test_what_is_found_first_has_1_and_what_is_not_there_fails(kept: KeptKnowledge) -> None:
    base = filled(kept)
    cases = [
        EvaluationCase("warranty years", ("lasts  TWO years",)),
        EvaluationCase("猫在睡觉吗", ("猫.txt",)),
        EvaluationCase("the warranty", ("nowhere",)),
    ]
    found = await EvaluateKnowledge(kept.retrieval())(ADA, base, cases)
    assert (found.cases, found.k, found.lexical_only) == (3, 5, None)
    assert found.dense is not None
    for one in (found.dense, found.lexical, found.hybrid):
        assert (one.recall, one.mrr, one.ndcg) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
        assert one.failed == (2,)


async def test_a_case_costs_one_embedding_two_searches_and_one_statement(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.asked.clear()
    await EvaluateKnowledge(kept.retrieval())(ADA, base, [EvaluationCase("warranty", ("years",))] * 6)
    assert {what: kept.asked.count(what) for what in kept.asked} == {"bases": 1, "words": 6, "vectors": 6, "chunks": 6}
    assert len(kept.embedder.calls) == 6


async def test_without_a_model_words_alone_are_measured(kept: KeptKnowledge) -> None:
    kept.embedders.known.clear()
    base = kept.base(ADA, model=None)
    kept.file(base, "two years")
    found = await EvaluateKnowledge(kept.retrieval())(ADA, base, [EvaluationCase("years", ("two",))])
    assert found.dense is None
    assert found.lexical == found.hybrid
    assert found.lexical.recall == 1
    assert found.lexical_only == "No embedding model is configured, as scripted."


async def test_a_model_that_fails_is_not_asked_for_ever(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.embedder.failures += [embedding_failure()] * 1000
    cases = [EvaluationCase("猫在", ("猫.txt",))] * 100
    found = await EvaluateKnowledge(kept.retrieval())(ADA, base, cases)
    assert found.dense is None
    assert found.lexical_only is not None
    assert "failed" in found.lexical_only
    assert found.lexical.recall == 1
    assert len(kept.embedder.calls) == AT_ONCE


GOOD = EvaluationCase("years", ("two",))


@pytest.mark.parametrize(
    ("cases", "k", "says"),
    [
        ([], 5, "cases: must be 1 to"),
        ([GOOD] * (MOST_CASES + 1), 5, "cases: must be 1 to"),
        ([GOOD, EvaluationCase(" ", ("two",))], 5, r"cases\[1\]\.query: must not be empty"),
        ([EvaluationCase("a" * 100_001, ("two",))], 5, r"cases\[0\]\.query: must have at most"),
        ([GOOD, GOOD, EvaluationCase("years", ())], 5, r"cases\[2\]\.expected: must name"),
        ([EvaluationCase("years", (" ", "\n"))], 5, r"cases\[0\]\.expected: must name"),
        ([EvaluationCase("years", tuple(map(str, range(21))))], 5, r"cases\[0\]\.expected: at most 20"),
        ([EvaluationCase("years", ("x" * 10_001,))], 5, r"cases\[0\]\.expected: at most 20"),
        ([GOOD], 0, "k: must be 1 to"),
        ([GOOD], 51, "k: must be 1 to"),
    ],
)
async def test_what_is_wrong_is_refused_and_named(
    kept: KeptKnowledge, cases: list[EvaluationCase], k: int, says: str
) -> None:
    with pytest.raises(DomainError, match=says):
        await EvaluateKnowledge(kept.retrieval())(ADA, kept.base(ADA), cases, k)
    assert kept.asked == []


async def test_another_users_base_is_not_measured(kept: KeptKnowledge) -> None:
    with pytest.raises(NotFound):
        await EvaluateKnowledge(kept.retrieval())(BOB, filled(kept), [GOOD])
    assert kept.asked == ["bases"]
