"""A base is measured by its owner's questions, by each way of ranking."""

import asyncio
import threading
from dataclasses import replace

import pytest

from adapters.scripted.embedder import embedding_failure
from application.knowledge.evaluation import AT_ONCE, FILES_AT_ONCE, MOST_CASES, EvaluateKnowledge
from domain.errors import DomainError, ModelError, NotFound, TooManyRequests, Unavailable
from domain.ids import KnowledgeId, UserId
from domain.knowledge.evaluation import EvaluationCase, found_at
from kept_knowledge import KeptKnowledge

ADA, BOB = UserId("ada"), UserId("bob")


@pytest.fixture
def kept() -> KeptKnowledge:
    return KeptKnowledge()


async def pause() -> None:
    """As long as all that can go on now needs."""
    for _ in range(20):
        await asyncio.sleep(0)


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
    assert {what: kept.asked.count(what) for what in kept.asked} == {
        **{"bases": 1, "files": 1},
        **{"words": 6, "vectors": 6, "chunks": 6},
    }
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


async def test_a_model_that_refuses_is_not_asked_for_ever(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.embedder.failures += [ModelError("model_auth_failed", "The key is refused.")] * 1000
    cases = [EvaluationCase("猫在", ("猫.txt",))] * 100
    found = await EvaluateKnowledge(kept.retrieval())(ADA, base, cases)
    assert found.dense is None
    assert found.lexical_only is not None
    assert "failed" in found.lexical_only
    assert found.lexical.recall == 1
    assert len(kept.embedder.calls) == AT_ONCE


async def test_a_failure_that_may_pass_ends_the_evaluation_instead_of_halving_it(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.embedder.failures += [embedding_failure()]
    evaluate = EvaluateKnowledge(kept.retrieval())
    with pytest.raises(Unavailable, match="Try again later") as refused:
        await evaluate(ADA, base, [GOOD] * 9)
    assert (refused.value.code, bool(refused.value.retry_after)) == ("embedding_unavailable", True)
    assert len(kept.embedder.calls) <= AT_ONCE
    assert (await evaluate(ADA, base, [GOOD])).dense is not None


async def test_a_model_that_is_too_busy_ends_the_evaluation_too(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.embedder.gate = asyncio.Event()
    with pytest.raises(Unavailable, match=r"within 0\.02 seconds"):
        await EvaluateKnowledge(replace(kept.retrieval(), patience_seconds=0.02))(ADA, base, [GOOD] * 9)
    assert len(kept.embedder.calls) == kept.embedder.cancelled == AT_ONCE


async def test_an_evaluation_waits_longer_than_a_question_does(kept: KeptKnowledge) -> None:
    base = filled(kept)
    kept.embedder.gate = asyncio.Event()
    retrieve = kept.retrieval(seconds=0.02)
    measuring = asyncio.create_task(EvaluateKnowledge(retrieve)(ADA, base, [GOOD]))
    assert "within 0.02 seconds" in ((await retrieve(ADA, "years", [base])).lexical_only or "")
    kept.embedder.gate.set()
    assert (await measuring).dense is not None


async def test_a_user_has_one_evaluation_at_a_time_and_others_have_theirs(kept: KeptKnowledge) -> None:
    base, others = filled(kept), kept.base(BOB)
    evaluate = EvaluateKnowledge(kept.retrieval())
    kept.embedder.gate = asyncio.Event()
    first = asyncio.create_task(evaluate(ADA, base, [GOOD]))
    second = asyncio.create_task(evaluate(BOB, others, [GOOD]))
    await kept.embedder.reached.wait()
    with pytest.raises(TooManyRequests) as refused:
        await evaluate(ADA, base, [GOOD])
    assert (refused.value.code, refused.value.retry_after) == ("too_many_requests", 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    kept.embedder.gate.set()
    assert (await evaluate(ADA, base, [GOOD])).dense is not None
    assert (await second).dense is not None


async def test_questions_go_before_evaluations_and_users_take_turns(kept: KeptKnowledge) -> None:
    """One place: Ada measures and asks a lot, and Bob asks once."""
    kept.embedder.queries_at_once = 1
    mine, theirs = filled(kept), kept.base(BOB)
    retrieve = kept.retrieval()
    kept.embedder.gate = asyncio.Event()
    measuring = asyncio.create_task(EvaluateKnowledge(retrieve)(ADA, mine, [EvaluationCase("case", ("two",))] * 8))
    await kept.embedder.reached.wait()
    asking = [asyncio.create_task(retrieve(ADA, f"ada {number}", [mine])) for number in range(8)]
    await pause()
    asking.append(asyncio.create_task(retrieve(BOB, "bob", [theirs])))
    await pause()
    kept.embedder.gate.set()
    assert all(one.lexical_only is None for one in await asyncio.gather(*asking))
    assert (await measuring).dense is not None
    order = kept.embedder.texts
    assert order[:3] == ["case", "ada 0", "bob"]
    assert order[3:10] == [f"ada {number}" for number in range(1, 8)]
    assert order[10:] == ["case"] * 7


async def test_a_file_that_others_mention_is_found_in_itself(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "The warranty stands in terms.pdf, see there.", name="index.txt")
    kept.file(base, "Two years long.", name="terms.pdf")
    found = await EvaluateKnowledge(kept.retrieval())(ADA, base, [EvaluationCase("warranty", ("Terms.PDF",))], k=1)
    assert (found.lexical.recall, found.hybrid.recall) == (0, 0)
    by_text = [EvaluationCase("warranty", ("stands in terms.pdf",))]
    assert (await EvaluateKnowledge(kept.retrieval())(ADA, base, by_text, k=1)).lexical.recall == 1


async def test_the_files_of_a_large_base_are_named_page_by_page_and_none_is_missed(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    names = [f"file {number}.txt" for number in range(2 * FILES_AT_ONCE + 1)]
    for name in names:
        kept.file(base, f"It says {name}.", name=name)
    expected = (names[0], names[FILES_AT_ONCE], names[-1])
    # What names a file is met in its own chunks alone: of each the evaluation must know the name.
    chunks = [chunk for chunk in kept.kept.values() if chunk.file_name in expected]
    files = await EvaluateKnowledge(kept.retrieval())._files(ADA, kept.bases[base])
    assert {"".join(name.split()) for name in names} <= set(files)
    assert found_at(chunks, [one.upper() for one in expected], files) == [1, 1, 1]
    assert kept.knowledge_files.pages == [FILES_AT_ONCE + 1, FILES_AT_ONCE]


async def test_the_texts_of_an_evaluation_are_worked_through_off_the_event_loop(kept: KeptKnowledge) -> None:
    """Megabytes of them, which would hold up everybody's streams."""
    base, seen = filled(kept), list[str]()

    class Noticed(str):
        def strip(self, *_: object) -> str:
            seen.append(threading.current_thread().name)
            return str(self)

        def split(self, *_: object) -> list[str]:
            seen.append(threading.current_thread().name)
            return [str(self)]

    await EvaluateKnowledge(kept.retrieval())(ADA, base, [EvaluationCase(Noticed("years"), (Noticed("two"),))])
    assert len(seen) >= 3
    assert threading.main_thread().name not in seen


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
