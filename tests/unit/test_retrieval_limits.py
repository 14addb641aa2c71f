"""One search takes neither the database nor its caller for long."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.rankings import MOST_LOOKUPS, MOST_TERMS
from domain.errors import Unavailable
from domain.ids import UserId
from kept_knowledge import KeptKnowledge

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
        await asyncio.wait_for(replace(kept.retrieval(), searching_seconds=0.02)(ADA, "years", [base]), 5)
    assert late.value.code == "retrieval_timeout"
    assert late.value.retry_after
