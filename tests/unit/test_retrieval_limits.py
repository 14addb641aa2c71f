"""One search takes neither the database nor its caller for long."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.knowledge.evaluation import EvaluateKnowledge
from application.knowledge.rankings import MOST_LOOKUPS, MOST_TERMS
from domain.errors import Unavailable
from domain.ids import UserId
from domain.knowledge.evaluation import EvaluationCase
from kept_knowledge import KeptKnowledge
from patience import PATIENCE

ADA = UserId("ada")
WORDS = " ".join(f"word{number}" for number in range(200))


@given(st.integers(1, 128), st.integers(0, 128))
@settings(max_examples=30)
async def test_terms_times_bases_have_a_limit_and_every_base_is_searched(bases: int, of_another_model: int) -> None:
    kept = KeptKnowledge()
    models = [None if number < of_another_model else "scripted/words" for number in range(bases)]
    several = [kept.base(ADA, model=model) for model in models]
    for base in several:
        kept.file(base, "word0")
    found = await kept.retrieval()(ADA, WORDS, several, top_k=1)
    assert len(found.passages) == 1
    terms = {len(asked) for asked in kept.searched_terms}
    assert terms == {min(MOST_TERMS, MOST_LOOKUPS // bases)}
    assert len(kept.searched_terms) == len(set(models))


async def test_a_search_without_end_is_given_up_and_told() -> None:
    kept = KeptKnowledge()
    base = kept.base(ADA)
    kept.lexical_gate = asyncio.Event()
    with pytest.raises(Unavailable, match=r"within 0\.02 seconds") as late:
        await asyncio.wait_for(replace(kept.retrieval(), searching_seconds=0.02)(ADA, "years", [base]), PATIENCE)
    assert late.value.code == "retrieval_timeout"
    assert late.value.retry_after


async def test_a_base_whose_vectors_find_no_room_is_searched_by_words_and_says_why() -> None:
    kept = KeptKnowledge()
    large, small = kept.base(ADA), kept.base(ADA)
    kept.file(large, "The warranty lasts two years.", "Cats sleep.")
    kept.file(small, "The guarantee holds.", "The warranty is void.")
    kept.too_large.add(large)
    alone = await kept.retrieval()(ADA, "warranty", [large])
    assert [one.content for one in alone.passages] == ["The warranty lasts two years."]
    assert alone.lexical_only == "Too large, as wanted."
    beside = await kept.retrieval()(ADA, "warranty", [large, small])
    assert {one.knowledge_id for one in beside.passages} == {large, small}
    assert beside.passages[0].content == "The warranty is void."
    assert beside.lexical_only == "Too large, as wanted."
    assert (await kept.retrieval()(ADA, "warranty", [small])).lexical_only is None
    assert [str(one) for one in kept.troubles] == ["Too large, as wanted."] * 2


async def test_an_evaluation_of_such_a_base_measures_words_and_says_why() -> None:
    kept = KeptKnowledge()
    large = kept.base(ADA)
    kept.file(large, "The warranty lasts two years.")
    kept.too_large.add(large)
    found = await EvaluateKnowledge(kept.retrieval())(ADA, large, [EvaluationCase("warranty", ("two years",))] * 9)
    assert (found.dense, found.lexical_only, found.hybrid) == (None, "Too large, as wanted.", found.lexical)
    assert found.lexical.recall == 1
