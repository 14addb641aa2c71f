"""What was removed, and is still ranked until its purge is done, takes no place from what is there."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.scripted import ScriptedEmbedder
from application.knowledge.evaluation import EvaluateKnowledge
from application.knowledge.rankings import IN_PART
from domain.ids import KnowledgeId, UserId
from domain.knowledge.evaluation import EvaluationCase
from domain.knowledge.fusion import LEAST_DEPTH
from kept_knowledge import KeptKnowledge

ADA = UserId("ada")
QUERY = "warranty of the turbine"

parts = st.lists(st.sampled_from([QUERY, "the warranty", "the turbine runs", "of cats", "风"]), min_size=1, max_size=3)
documents = st.lists(st.tuples(parts, st.integers(1, 9), st.booleans()), max_size=4)


def filled(files: list[tuple[list[str], int, bool]], *, purged: bool) -> tuple[KeptKnowledge, KnowledgeId]:
    """Files of so many times these parts, some of them removed; their chunks are gone, or still to be purged."""
    kept = KeptKnowledge()
    base = kept.base(ADA)
    for number, (texts, times, is_removed) in enumerate(files):
        before = set(kept.kept)
        kept.file(base, *(f"{text} {at}" for at in range(times) for text in texts), name=f"{number}.txt")
        if is_removed:
            kept.removed |= set(kept.kept) - before
    if purged:
        for one in kept.removed:
            kept.kept[one] = replace(kept.kept[one], knowledge_id=KnowledgeId("gone"))
    return kept, base


@settings(max_examples=40)
@given(documents, st.integers(1, 6))
@example([([QUERY], 100, True), (["the turbine runs"], 6, False)], 1)
async def test_each_ranking_is_the_same_before_the_purge_as_after_it(
    files: list[tuple[list[str], int, bool]], depth: int
) -> None:
    shown = []
    for purged in (False, True):
        kept, base = filled(files, purged=purged)
        find, bases = kept.retrieval().find, await kept.retrieval().bases(ADA, [base])
        found = await find(ADA, QUERY, bases, depth, lambda one: [one[0].dense or (), one[0].lexical])
        shown.append([[(chunk.content, chunk.file_name) for chunk, _ in way] for way in found.ways])
        assert len(kept.embedder.calls) == 1
    assert shown[0] == shown[1]
    living = sum(len(texts) * times for texts, times, is_removed in files if not is_removed)
    assert len(shown[0][0]) == min(depth, living)


@pytest.mark.parametrize(("removed", "left"), [(0, 1), (80, 1), (600, 60)])
async def test_however_much_of_a_removed_file_fits_better_what_is_left_is_found(removed: int, left: int) -> None:
    files = [([QUERY], removed, True), (["the turbine runs"], left, False)]
    shown = []
    for purged in (True, False):
        kept, base = filled(files, purged=purged)
        found = await kept.retrieval()(ADA, QUERY, [base], 12)
        assert {one.file_name for one in found.passages} == {"1.txt"}
        shown.append([(one.content, one.score) for one in found.passages])
    assert shown[0] == shown[1]
    case = EvaluationCase(QUERY, ("1.txt",))
    evaluation = await EvaluateKnowledge(kept.retrieval())(ADA, base, [case], 1)
    ways = (evaluation.dense, evaluation.lexical, evaluation.hybrid)
    assert [way and way.recall for way in ways] == [1, 1, 1]


async def test_where_nothing_was_removed_nothing_more_is_asked() -> None:
    kept, base = filled([([QUERY, "of cats"], LEAST_DEPTH, False)], purged=False)
    await kept.retrieval()(ADA, QUERY, [base])
    assert sorted(kept.asked) == ["bases", "chunks", "vectors", "words"]


async def test_what_goes_while_it_is_searched_for_ends_the_search_all_the_same() -> None:
    """Whatever is shown first is gone at the next look, again and again."""
    kept, base = filled([([QUERY], 200, False)], purged=False)
    shown = kept.shown

    async def then_gone(chunk_ids, *, owner):  # type: ignore[no-untyped-def]
        kept.removed |= set(chunk_ids)
        return await shown(chunk_ids, owner=owner)

    kept.shown = then_gone  # type: ignore[method-assign]
    assert (await kept.retrieval()(ADA, QUERY, [base])).passages == ()
    assert kept.asked.count("chunks") == 3


@pytest.mark.parametrize("query", ["warranty", "nothing of this"])
async def test_a_base_that_is_switched_while_its_question_waits_is_searched_by_the_new_model(query: str) -> None:
    kept, base = filled([(["the warranty"], 3, False)], purged=False)
    newer = ScriptedEmbedder(name="scripted/newer")
    kept.embedders.known.append(newer)
    kept.embedder.gate = asyncio.Event()
    asking = asyncio.create_task(kept.retrieval()(ADA, query, [base]))
    await kept.embedder.reached.wait()
    kept.bases[base] = replace(kept.bases[base], model=newer.name)
    kept.embedder.gate.set()
    found = await asking
    assert len(newer.texts) == 1
    assert "".join(one.content for one in found.passages).count("warranty") == 3
    assert found.lexical_only is None


async def test_a_base_whose_vectors_are_made_in_part_says_so_and_is_searched_by_them() -> None:
    kept, base = filled([(["the warranty"], 3, False)], purged=False)
    whole = await kept.retrieval()(ADA, "guarantee", [base])
    kept.bases[base] = replace(kept.bases[base], incomplete=True)
    found = await kept.retrieval()(ADA, "guarantee", [base])
    assert found == replace(whole, lexical_only=IN_PART)
    assert found.passages
    evaluated = await EvaluateKnowledge(kept.retrieval())(ADA, base, [EvaluationCase("warranty", ("warranty",))])
    assert evaluated.lexical_only == IN_PART
    assert evaluated.dense is not None
