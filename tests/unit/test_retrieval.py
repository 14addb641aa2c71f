"""Retrieval over knowledge in memory: what is found, by which ways, and that half of it is better than nothing."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted import ScriptedEmbedder
from adapters.scripted.embedder import embedding_failure
from application.knowledge.rankings import EMBEDDED_TOKENS, LOOKED_AT, MOST_QUERY_CHARS, MOST_TERMS
from application.knowledge.retrieval import MOST_BASES, MOST_PASSAGES
from domain.errors import InvalidValue, NotFound, TooLarge, Unavailable
from domain.ids import UserId
from kept_knowledge import KeptKnowledge

ADA, BOB = UserId("ada"), UserId("bob")


@dataclass
class Longest:
    """A reranker that likes long texts, or fails."""

    failure: Exception | None = None
    given: list[Sequence[str]] = field(default_factory=list)
    short: bool = False

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.given.append(texts)
        if self.failure:
            raise self.failure
        return [] if self.short else [min(1.0, len(text) / 100) for text in texts]


@pytest.fixture
def kept() -> KeptKnowledge:
    return KeptKnowledge()


async def test_what_answers_comes_first_with_its_place(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    file = kept.file(base, "The roof is red.", "The warranty lasts two years.", "Cats sleep.")
    found = await kept.retrieval()(ADA, "How long does the warranty last?", [base])
    first = found.passages[0]
    assert (first.content, first.page, first.start, first.end) == ("The warranty lasts two years.", 2, 18, 47)
    assert (first.knowledge_id, first.knowledge_file_id, first.file_name) == (base, file, "guide.pdf")
    assert 0 < first.score <= 1
    assert found.lexical_only is None


async def test_a_retrieval_is_one_embedding_two_searches_and_two_statements(kept: KeptKnowledge) -> None:
    base, other = kept.base(ADA), kept.base(ADA, name="Other")
    kept.file(base, "two years", "three years")
    kept.file(other, "four years")
    await kept.retrieval()(ADA, "years", [base, other, base], top_k=2)
    assert sorted(kept.asked) == ["bases", "chunks", "vectors", "words"]
    assert kept.embedder.calls == [("years",)]


async def test_words_are_searched_while_the_query_is_embedded(kept: KeptKnowledge) -> None:
    """Each waits until the other has begun."""
    base = kept.base(ADA)
    kept.file(base, "two years")
    kept.embedder.gate = kept.lexical_gate = asyncio.Event()
    task = asyncio.create_task(kept.retrieval()(ADA, "years", [base]))
    await kept.embedder.reached.wait()
    while "words" not in kept.asked:
        await asyncio.sleep(0)
    kept.embedder.gate.set()
    assert len((await task).passages) == 1


@pytest.mark.parametrize("stranger", ["unknown", ""])
async def test_an_unknown_base_and_another_users_are_the_same(kept: KeptKnowledge, stranger: str) -> None:
    mine, theirs = kept.base(ADA), kept.base(BOB)
    kept.file(theirs, "secret years")
    for one in (stranger, theirs):
        with pytest.raises(NotFound) as refused:
            await kept.retrieval()(ADA, "years", [mine, one])
        assert refused.value.code == "knowledge_not_found"
    assert "words" not in kept.asked


@pytest.mark.parametrize(
    ("query", "arguments", "field"),
    [
        ("", {}, "query"),
        (" \n\u3000", {}, "query"),
        ("a\x00b", {}, "query"),
        ("a\ud800b", {}, "query"),
        ("years", {"top_k": 0}, "top_k"),
        ("years", {"top_k": MOST_PASSAGES + 1}, "top_k"),
        ("years", {"min_score": 1.5}, "min_score"),
        ("years", {"min_score": float("nan")}, "min_score"),
    ],
)
async def test_what_is_wrong_is_refused_and_named(
    kept: KeptKnowledge, query: str, arguments: dict[str, int], field: str
) -> None:
    base = kept.base(ADA)
    with pytest.raises(InvalidValue) as refused:
        await kept.retrieval()(ADA, query, [base], **arguments)
    assert [one.name for one in refused.value.fields] == [field]
    assert kept.asked == []


async def test_no_base_and_too_many_are_refused(kept: KeptKnowledge) -> None:
    for ids in ([], [f"k{number}" for number in range(MOST_BASES + 1)]):
        with pytest.raises(InvalidValue, match="knowledge_id"):
            await kept.retrieval()(ADA, "years", ids)


async def test_of_100000_characters_a_bounded_part_is_searched_and_more_are_refused(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "two years")
    for query in ("years " * 16_666, "年保修" * 33_333, "🙂" * 100_000, "a" * 100_000):
        await kept.retrieval()(ADA, query, [base])
    assert all(len(wanted) <= MOST_TERMS for wanted in kept.searched_terms)
    assert all(len(text) <= LOOKED_AT for text in kept.embedder.texts)
    with pytest.raises(TooLarge):
        await kept.retrieval()(ADA, "a" * (MOST_QUERY_CHARS + 1), [base])


async def test_a_long_question_is_cut_for_the_model_alone(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "two years")
    words = " ".join(f"word{number:010}" for number in range(60))
    for query, most in ((words, 4 * EMBEDDED_TOKENS), ("年" * 1000, EMBEDDED_TOKENS), ("short", 5)):
        await kept.retrieval()(ADA, query, [base])
        assert kept.embedder.texts[-1] == query[:most]
    assert set(kept.searched_terms[0]) >= set(words.split())


@pytest.mark.parametrize(
    "query", ["🙂🙂", "'; DROP TABLE chunks; --", '"a" OR b* NEAR(c) ^d -e AND NOT', "%_\\", "a & b | !c <-> d:*", "!?"]
)
async def test_signs_are_nothing_but_text(kept: KeptKnowledge, query: str) -> None:
    base = kept.base(ADA)
    kept.file(base, "two years", "b or c")
    found = await kept.retrieval()(ADA, query, [base])
    assert found.lexical_only is None
    assert all(term.isalnum() for wanted in kept.searched_terms for term in wanted)


async def test_a_query_without_words_asks_no_words(kept: KeptKnowledge) -> None:
    base = kept.base(ADA, model=None)
    kept.file(base, "two years")
    assert (await kept.retrieval()(ADA, "🙂?!", [base])).passages == ()
    assert "words" not in kept.asked


async def test_an_empty_base_gives_nothing(kept: KeptKnowledge) -> None:
    found = await kept.retrieval()(ADA, "years", [kept.base(ADA)])
    assert found.passages == ()
    assert "chunks" not in kept.asked


async def test_neighbours_are_joined_and_top_k_counts_passages(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "years one. ", "years two. ", "years three.", gap="")
    kept.file(base, "years apart", name="b.txt")
    found = await kept.retrieval()(ADA, "years", [base], top_k=2)
    assert {one.content for one in found.passages} == {"years one. years two. years three.", "years apart"}


async def test_scores_fall_and_the_least_score_cuts(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, *(f"years {'and more ' * number}{number}" for number in range(20)))
    every = (await kept.retrieval()(ADA, "years", [base], top_k=20)).passages
    scores = [one.score for one in every]
    assert len(every) == 20
    assert scores == sorted(scores, reverse=True)
    least = scores[7]
    some = (await kept.retrieval()(ADA, "years", [base], top_k=20, min_score=least)).passages
    assert [one.score for one in some] == [score for score in scores if score >= least]


@pytest.mark.parametrize("broken", ["failing", "slow", "away", "none"])
async def test_without_the_model_words_are_searched_and_it_says_why(kept: KeptKnowledge, broken: str) -> None:
    base = kept.base(ADA, model=None if broken == "none" else "scripted/words")
    kept.file(base, "two years")
    says = {"failing": "failed", "slow": "gave no answer within 0.02 s", "away": "can't be reached", "none": "scripted"}
    if broken == "failing":
        kept.embedder.failures.append(embedding_failure())
    elif broken == "slow":
        kept.embedder.gate = asyncio.Event()
    elif broken == "away":
        kept.embedders.away.add(kept.embedder.name)
    else:
        kept.embedders.known.clear()
    found = await kept.retrieval(seconds=0.02 if broken == "slow" else 10)(ADA, "years", [base])
    assert [one.content for one in found.passages] == ["two years"]
    assert found.lexical_only is not None
    assert says[broken] in found.lexical_only
    assert len(kept.troubles) == (broken in {"failing", "slow"})
    assert kept.embedder.cancelled == (broken == "slow")


async def test_vectors_that_are_still_to_be_made_are_told(kept: KeptKnowledge) -> None:
    found = await kept.retrieval()(ADA, "years", [kept.base(ADA, model=None)])
    assert found.lexical_only == "Vectors of the knowledge base are not made yet."


async def test_each_base_is_searched_with_its_own_model(kept: KeptKnowledge) -> None:
    second = ScriptedEmbedder(name="scripted/second", dimensions=32)
    kept.embedders.known.append(second)
    old, new, bare = kept.base(ADA, model=second.name), kept.base(ADA), kept.base(ADA, model=None)
    for base in (old, new, bare):
        kept.file(base, f"two years in {base}")
    found = await kept.retrieval()(ADA, "years", [old, new, bare])
    assert {one.knowledge_id for one in found.passages} == {old, new, bare}
    assert (len(kept.embedder.calls), len(second.calls)) == (1, 1)
    assert kept.asked.count("vectors") == 2
    assert kept.asked.count("chunks") == 1
    assert found.lexical_only is not None


async def test_a_database_that_is_away_is_told_as_that(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.down = True
    with pytest.raises(Unavailable):
        await kept.retrieval()(ADA, "years", [base])


async def test_a_chunk_that_goes_while_it_is_found_is_not_shown(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "two years", "three years")
    kept.lexical_gate = asyncio.Event()
    task = asyncio.create_task(kept.retrieval()(ADA, "years", [base]))
    while "vectors" not in kept.asked:
        await asyncio.sleep(0)
    gone = kept.kept.pop(min(kept.kept))
    kept.lexical_gate.set()
    assert [one.content for one in (await task).passages] == ["three years"]
    assert gone.content == "two years"


async def test_a_reranker_has_the_last_word(kept: KeptKnowledge) -> None:
    base = kept.base(ADA)
    kept.file(base, "years", "years and many more words")
    found = await kept.retrieval(Longest())(ADA, "years", [base])
    assert [(one.content, one.score) for one in found.passages] == [
        ("years and many more words", 0.25),
        ("years", 0.05),
    ]


async def test_a_reranker_reads_more_chunks_than_passages_are_wanted_and_not_all(kept: KeptKnowledge) -> None:
    base, reranker = kept.base(ADA), Longest()
    kept.file(base, *(f"years {number}" for number in range(200)))
    for top_k, read in ((1, 30), (5, 30), (25, 50)):
        found = await kept.retrieval(reranker)(ADA, "years", [base], top_k)
        assert (len(reranker.given[-1]), len(found.passages)) == (read, top_k)


@pytest.mark.parametrize("reranker", [lambda: Longest(failure=embedding_failure()), lambda: Longest(short=True)])
async def test_a_reranker_that_fails_leaves_the_order(kept: KeptKnowledge, reranker: Callable[[], Longest]) -> None:
    base = kept.base(ADA)
    kept.file(base, "years", "years and many more words")
    assert await kept.retrieval(reranker())(ADA, "years", [base]) == await kept.retrieval()(ADA, "years", [base])
    assert len(kept.troubles) == 1


texts = st.text(alphabet="ab 好年\n", min_size=1, max_size=12).filter(str.strip)


@given(
    st.lists(st.lists(texts, min_size=1, max_size=4), max_size=3), texts, st.integers(1, 4), st.sampled_from(["", " "])
)
async def test_whatever_is_stored_passages_are_exact_and_the_callers(
    files: list[list[str]], query: str, top_k: int, gap: str
) -> None:
    kept = KeptKnowledge()
    mine, theirs = kept.base(ADA), kept.base(BOB)
    whole = {kept.file(base, *parts, gap=gap): gap.join(parts) for parts in files for base in (mine, theirs)}
    found = await kept.retrieval()(ADA, query, [mine], top_k)
    assert len(found.passages) <= top_k
    assert bool(found.passages) == bool(files)
    for one in found.passages:
        assert one.knowledge_id == mine
        assert one.content == whole[one.knowledge_file_id][one.start : one.end]
        assert 0 < one.score <= 1
