"""An agent's knowledge in a chat: searched for the question before the answer, and by the model during it.

Bases are the caller's own, and looked up again for each search: what was removed meanwhile is not found.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from application.knowledge.rankings import LOOKED_AT
from application.knowledge.retrieval import Retrieval, RetrieveKnowledge
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.chat.chat_events import Retrieved
from domain.dialogs.messages import Citation
from domain.errors import DomainError
from domain.files.attachments import WARNING, plain_name
from domain.ids import ToolId, UserId
from domain.knowledge.citations import found_message, numbered
from domain.knowledge.retrieval import Passage
from domain.knowledge.shown_passages import Numbered, passages_text
from domain.models.models import ModelSpec
from domain.runs.pauses import ShownPlace
from domain.tools.tools import JsonValue, ToolSpec, ToolType

NAME: Final = "search_knowledge"
TOP_K: Final = 5
MOST_ASKED: Final = 10
MOST_SHOWN: Final = 200
"""Passages of one answer: a model that searches for ever is told that it has seen enough."""
MOST_TOKENS: Final = 4_000
"""Of the result of one search, on a model with a large window."""
CONSULTING_SECONDS: Final = 20.0
_RERANKED_AFTER: Final = 0.9
"""Of that time: a reranker that may take longer must not cost the passages that are found already."""
NOTHING_FOUND: Final = "知识库中没有找到相关内容 Nothing was found in the knowledge bases"
NOTHING: Final = "Nothing was found. Try other words, or say that the knowledge bases don't hold it."
_NAMED: Final = 10
"""Bases that are named to the model."""


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the agent's bases gave for the question. `trouble` says why they could not be searched.

    `names` are the bases', as far as they are known.
    """

    passages: tuple[Passage, ...] = ()
    lexical_only: str | None = None
    trouble: str | None = None
    names: tuple[str, ...] = ()

    def told(self, citations: tuple[Citation, ...]) -> Retrieved:
        """What a reader is told before the answer; the citations are those that the model was shown."""
        if self.trouble is not None:
            return Retrieved(f"知识库暂时无法检索 The knowledge bases could not be searched: {self.trouble}", ())
        found = found_message(len(citations)) if citations else NOTHING_FOUND
        return Retrieved(f"{found} ({self.lexical_only})" if self.lexical_only else found, citations)


async def consult(
    retrieve: RetrieveKnowledge,
    actor: UserId,
    knowledge_ids: Sequence[str],
    question: str,
    seconds: float = CONSULTING_SECONDS,
) -> Consulted | None:
    """None when none of the bases is there and the actor's. Whatever goes wrong, the answer goes on without."""
    try:
        async with asyncio.timeout(seconds):
            bases = await retrieve.bases(actor, knowledge_ids)
            if not bases:
                return None
            by = asyncio.get_running_loop().time() + seconds * _RERANKED_AFTER
            found = await retrieve.within(actor, question[:LOOKED_AT], bases, TOP_K, rerank_by=by)
    except DomainError as trouble:
        retrieve.on_trouble(trouble)
        return Consulted(trouble=trouble.message)
    except TimeoutError as trouble:
        retrieve.on_trouble(trouble)
        return Consulted(trouble=f"no answer within {seconds:g} seconds.")
    return Consulted(found.passages, found.lexical_only, names=tuple(base.name for base in bases))


class ShownPassages:
    """What a run was shown, numbered from 1 without gaps; a passage that is found again keeps its number.

    So does one that lies within it, and one of which only the beginning was shown.
    """

    def __init__(self, places: Sequence[ShownPlace] = ()) -> None:
        self._places: dict[int, ShownPlace] = dict(enumerate(places, 1))
        self._proposed: dict[int, ShownPlace] = {}
        self._last = len(places)

    @property
    def places(self) -> tuple[ShownPlace, ...]:
        """Of the passages that were kept, from number 1: what a run that goes on later begins with."""
        return tuple(self._places[number] for number in range(1, self._last + 1))

    def __len__(self) -> int:
        return self._last

    def numbered(self, passages: Sequence[Passage]) -> list[Numbered]:
        """With the numbers that they have, or would have: the new ones are nobody's until they are kept."""
        last, found = self._last, []
        self._proposed = {}
        for one in passages:
            number = self._number_of(_place(one))
            if number is None:
                last = number = last + 1
                self._proposed[number] = _place(one)
            found.append((number, one))
        return found

    def keep(self, shown: Sequence[Numbered]) -> tuple[Citation, ...]:
        """The new ones of the first that were `numbered`. Nothing may be awaited between the two."""
        new: list[Citation] = []
        for number, one in shown:
            if number > self._last:
                self._last = number
                # Its whole extent: to a budget it is cut anew each time.
                self._places[number] = self._proposed.get(number, _place(one))
                new += numbered([one], number)
        return tuple(new)

    def _number_of(self, place: ShownPlace) -> int | None:
        file, start, end = place
        for number, (kept_file, kept_start, kept_end) in self._places.items():
            if kept_file == file and kept_start <= start and end <= kept_end:
                return number
        return None


class SearchKnowledge:
    """A ToolRunner, bound to the bases of one agent and to its caller, for one answer."""

    def __init__(
        self,
        retrieve: RetrieveKnowledge,
        actor: UserId,
        knowledge_ids: Sequence[str],
        names: Sequence[str],
        shown: ShownPassages,
        model: ModelSpec,
    ) -> None:
        self._retrieve = retrieve
        self._actor = actor
        self._knowledge_ids = knowledge_ids
        self._shown = shown
        self._tokens = min(MOST_TOKENS, model.context_window // 8)
        self._spec = search_spec(names)

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        query, top_k = arguments.get("query"), arguments.get("top_k")
        if not isinstance(query, str) or not query.strip():
            raise ToolFailed("Give a query, a text of some words.")
        if len(self._shown) >= MOST_SHOWN:
            raise ToolFailed("Enough was searched for this answer: answer from what was found.")
        wanted = top_k if isinstance(top_k, int) and not isinstance(top_k, bool) else TOP_K
        try:
            found = await self._found(query, max(1, min(wanted, MOST_ASKED)))
        except DomainError as trouble:
            raise ToolFailed(f"The knowledge bases could not be searched: {trouble.message}") from trouble
        # From here on nothing is awaited: calls side by side number one after the other.
        shown = passages_text(self._shown.numbered(found.passages), self._tokens)
        if not shown.shown:
            return ToolOutput(NOTHING)
        return ToolOutput(f"{WARNING} Cite as [1].\n{shown.text}", self._shown.keep(shown.shown))

    async def _found(self, query: str, top_k: int) -> Retrieval:
        bases = await self._retrieve.bases(self._actor, self._knowledge_ids)
        by = asyncio.get_running_loop().time() + CONSULTING_SECONDS * _RERANKED_AFTER
        return await self._retrieve.within(self._actor, query, bases, top_k, rerank_by=by) if bases else Retrieval(())


def search_spec(names: Sequence[str]) -> ToolSpec:
    named = f" Knowledge bases: {'; '.join(map(plain_name, names[:_NAMED]))}." if names else ""
    return ToolSpec(
        tool_id=ToolId(NAME),
        name=NAME,
        title="搜索知识库 Search knowledge",
        description=(
            "Searches the user's knowledge bases for passages, which are to be cited by their numbers. Use it when "
            f"the passages that you have don't hold the answer, with other words.{named}"
        ),
        parameters={
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for, in the documents' language."},
                "top_k": {"type": "integer", "minimum": 1, "maximum": MOST_ASKED, "description": f"{TOP_K} if absent."},
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        type=ToolType.KNOWLEDGE,
    )


def _place(passage: Passage) -> ShownPlace:
    return passage.knowledge_file_id, passage.start, passage.end
