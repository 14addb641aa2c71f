"""Measuring a knowledge base: how well its owner's questions find what they should, by each way of ranking."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.knowledge.rankings import Rankings, checked, together
from application.knowledge.retrieval import RetrieveKnowledge, refuse_missing
from application.paging import Position, Window
from domain.errors import InvalidValue, TooLarge, TooManyRequests
from domain.ids import UserId
from domain.knowledge.evaluation import (
    CaseScores,
    EvaluationCase,
    Measured,
    distinct,
    file_names,
    found_at,
    measured,
    scores_of,
)
from domain.knowledge.fusion import depth_for, hybrid
from domain.knowledge.knowledge import KnowledgeBase
from domain.knowledge.retrieval import FoundChunk, Hit

MOST_CASES: Final = 500
MOST_EXPECTED: Final = 20
LONGEST_EXPECTED: Final = 10_000
MOST_K: Final = 50
AT_ONCE: Final = 4
FILES_AT_ONCE: Final = 200
RETRY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured. `dense` is None where no vectors are searched, for the reason `lexical_only`.

    `hybrid` is what retrieval gives, before neighbours are joined and without a reranker.
    """

    cases: int
    k: int
    dense: Measured | None
    lexical: Measured
    hybrid: Measured
    lexical_only: str | None


@dataclass(frozen=True, slots=True)
class EvaluateKnowledge:
    """One at a time for each user, in this process: it asks as much as hundreds of people do."""

    retrieve: RetrieveKnowledge
    measuring: set[UserId] = field(default_factory=set, init=False, compare=False)

    async def __call__(
        self, actor: UserId, knowledge_id: str, cases: Sequence[EvaluationCase], k: int = 5
    ) -> Evaluation:
        """Raises InvalidValue and TooLarge that name the case, NotFound `knowledge_not_found`.

        TooManyRequests while another one of the caller's goes on, and Unavailable `embedding_unavailable` when the
        embedding model is too busy, or fails in a way that may pass.
        """
        if not 1 <= k <= MOST_K:
            raise InvalidValue("k", f"must be 1 to {MOST_K}")
        if actor in self.measuring:
            message = "Another evaluation of yours goes on: wait until it is done."
            raise TooManyRequests("too_many_requests", message, retry_after=RETRY_SECONDS)
        self.measuring.add(actor)
        try:
            # Megabytes of text take their time: none of it on the event loop.
            clean = await asyncio.to_thread(_checked, cases)
            return _evaluated(await self._all(actor, knowledge_id, clean, k), k)
        finally:
            self.measuring.discard(actor)

    async def _all(
        self, actor: UserId, knowledge_id: str, cases: Sequence[EvaluationCase], k: int
    ) -> Sequence["_Scored"]:
        bases = await self.retrieve.bases(actor, [knowledge_id])
        refuse_missing([knowledge_id], bases)
        files = await self._files(actor, bases[0])
        scored: list[_Scored] = []
        for start in range(0, len(cases), AT_ONCE):
            some = cases[start : start + AT_ONCE]
            scored += await together(*(self._scored(actor, one, bases, files, k) for one in some))
            if any(one.dense is None for one in scored):
                # A model that refused once would be asked again and again: words alone, for all that are left.
                bases = [replace(base, model=None) for base in bases]
        return scored

    async def _files(self, actor: UserId, base: KnowledgeBase) -> Collection[str]:
        """Page by page: all files of a large base at once would hold up everybody."""
        window, names = Window(FILES_AT_ONCE), list[str]()
        while True:
            async with self.retrieve.transactions.autocommit() as tx:
                files = await tx.knowledge_files.list(base.knowledge_id, window, owner=actor)
            names += (name for file in files for name in (file.name, file.knowledge_file_id))
            if len(files) <= FILES_AT_ONCE:
                return await asyncio.to_thread(file_names, names)
            window = Window(FILES_AT_ONCE, Position(files[-1].created_at, files[-1].knowledge_file_id))
            # SQLite answers on the event loop: others get their turn between two pages.
            await asyncio.sleep(0)

    async def _scored(
        self, actor: UserId, case: EvaluationCase, bases: Sequence[KnowledgeBase], files: Collection[str], k: int
    ) -> "_Scored":
        found = await self.retrieve.find_patiently(
            actor, case.query, bases, depth_for(k), lambda rankings: _ways(rankings[0], k)
        )
        shown = [[chunk for chunk, _ in way] for way in found.ways]
        by_dense, by_words, by_both = await asyncio.to_thread(_scores, case, shown, files, k)
        [ranking] = found.rankings
        return _Scored(None if ranking.dense is None else by_dense, by_words, by_both, ranking.lacking)


@dataclass(frozen=True, slots=True)
class _Scored:
    """One case, by each way of ranking."""

    dense: CaseScores | None
    lexical: CaseScores
    hybrid: CaseScores
    lacking: str | None


def _evaluated(scored: Sequence[_Scored], k: int) -> Evaluation:
    dense = [one.dense for one in scored if one.dense is not None]
    whole = len(dense) == len(scored)
    lexical = measured([one.lexical for one in scored])
    return Evaluation(
        len(scored),
        k,
        measured(dense) if whole else None,
        lexical,
        measured([one.hybrid for one in scored]) if whole else lexical,
        next((one.lacking for one in scored if one.lacking), None),
    )


def _ways(ranking: Rankings, k: int) -> Sequence[Sequence[Hit]]:
    return [(ranking.dense or ())[:k], ranking.lexical[:k], hybrid(ranking.dense, ranking.lexical)[:k]]


def _scores(
    case: EvaluationCase, ways: Sequence[Sequence[FoundChunk]], files: Collection[str], k: int
) -> list[CaseScores]:
    return [scores_of(found_at(chunks, case.expected, files), len(case.expected), k) for chunks in ways]


def _checked(cases: Sequence[EvaluationCase]) -> list[EvaluationCase]:
    if not 1 <= len(cases) <= MOST_CASES:
        raise InvalidValue("cases", f"must be 1 to {MOST_CASES}, are {len(cases)}")
    clean = []
    for number, case in enumerate(cases):
        field = f"cases[{number}]"
        query = checked(case.query, field=f"{field}.query")
        if len(case.expected) > MOST_EXPECTED or any(len(one) > LONGEST_EXPECTED for one in case.expected):
            limits = f"at most {MOST_EXPECTED} texts of at most {LONGEST_EXPECTED:,} characters"
            raise TooLarge(f"{field}.expected", limits)
        expected = distinct(case.expected)
        if not expected:
            raise InvalidValue(f"{field}.expected", "must name a file or a text that is to be found")
        clean.append(EvaluationCase(query, expected))
    return clean
