"""The tool by which a model finds what did not fit into its prompt: in the documents of one dialog, and no others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from application.chat.attachments import OpenAgain
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.errors import DomainError
from domain.files.attachments import WARNING, plain_name, quoted
from domain.files.documents import Page, ParsedDocument
from domain.ids import ToolId
from domain.knowledge.chunking import Chunk, ChunkSize, chunks
from domain.knowledge.lexical import best
from domain.tools.tools import JsonValue, ToolSpec

MOST_PASSAGES: Final = 8
PASSAGE: Final = ChunkSize(most=200, overlap=0)
LONGEST_PAGE: Final = 12_000
LONGEST_QUERY: Final = 2_000
NAME: Final = "search_attachment"
NOTHING: Final = "Nothing in the documents shares a word with that query. Try other words, or read a page."
SEARCH_SECONDS: Final = 15.0
"""After that no further document is begun: what was found is worth more than a time-out."""


def search_spec(names: Sequence[str]) -> ToolSpec:
    return ToolSpec(
        tool_id=ToolId(NAME),
        name=NAME,
        title="搜索附件 Search attachments",
        description=(
            "Searches the documents that the user attached, which may be longer than what is shown of them. "
            f"Give a query (words that the passage holds), or a page to read. Documents: {'; '.join(names)}."
        ),
        parameters={
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "Words to look for, in the document's language."},
                "file": {"type": "string", "description": "A document's name; all documents when absent."},
                "page": {"type": "integer", "minimum": 1, "description": "Read this page (slide, sheet) of `file`."},
            },
            "additionalProperties": False,
        },
    )


class SearchAttachment:
    """Opens a document for each call and lets it go: an answer may take minutes, and its documents much memory."""

    def __init__(self, names: Sequence[str], again: Sequence[OpenAgain], seconds: float = SEARCH_SECONDS) -> None:
        self._names = [plain_name(name) for name in names]
        self._again = again
        self._seconds = seconds
        self._spec = search_spec(self._names)

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        chosen = self._chosen(arguments.get("file"))
        page, query = arguments.get("page"), arguments.get("query")
        if isinstance(page, int) and not isinstance(page, bool):
            return ToolOutput(await self._read_page(chosen, page))
        if not isinstance(query, str) or not query.strip():
            raise ToolFailed("Give a query, a text of some words, or the number of a page.")
        return ToolOutput(await self._search(chosen, query[:LONGEST_QUERY]))

    def _chosen(self, name: JsonValue) -> Sequence[int]:
        everything = range(len(self._names))
        if name is None or name == "":
            return everything
        wanted = plain_name(name).casefold() if isinstance(name, str) else None
        chosen = [number for number in everything if self._names[number].casefold() == wanted]
        if not chosen:
            raise ToolFailed(f"There is no such document. Documents: {'; '.join(self._names)}.")
        return chosen

    async def _open(self, number: int) -> ParsedDocument:
        try:
            return await self._again[number]()
        except DomainError as trouble:
            raise ToolFailed(f"{self._names[number]} can't be opened now.") from trouble

    async def _read_page(self, chosen: Sequence[int], wanted: int) -> str:
        found, last = [], 0
        for number in chosen:
            document = await self._open(number)
            last = max([last, *(page.number for page in document.pages)])
            pages = [page for page in document.pages if page.number == wanted]
            found += [_page_text(self._names[number], document, page) for page in pages]
        if not found:
            raise ToolFailed(f"There is no page {wanted}: {f'the last is {last}' if last else 'there are no pages'}.")
        return "".join((f"{WARNING}\n", *found))

    async def _search(self, chosen: Sequence[int], query: str) -> str:
        """Best passages of each document in turn, so that a long one does not hide the others."""
        end = asyncio.get_running_loop().time() + self._seconds
        ranked, left = [], []
        for number in chosen:
            if asyncio.get_running_loop().time() > end:
                left.append(self._names[number])
                continue
            document = await self._open(number)
            ranked.append(await asyncio.to_thread(_best, self._names[number], document, query))
        turns = [found[turn] for turn in range(MOST_PASSAGES) for found in ranked if turn < len(found)]
        said = [f"{WARNING}\n", *turns[:MOST_PASSAGES]] if turns else [NOTHING]
        if left:
            said.append(f"\nThere was no time to search these; name one of them as `file`: {'; '.join(left)}.")
        return "".join(said)


def _best(name: str, document: ParsedDocument, query: str) -> Sequence[str]:
    """The best passages, each in its document's frame."""
    labels = {page.number: page.label for page in document.pages}
    found = chunks(document, PASSAGE)
    ranked = best(query, [one.text for one in found], MOST_PASSAGES)
    return [quoted(name, _label(found[number], labels), found[number].text) for number in ranked]


def _label(passage: Chunk, labels: Mapping[int, str]) -> str | None:
    return None if passage.page is None else labels[passage.page]


def _page_text(name: str, document: ParsedDocument, page: Page) -> str:
    text = document.text[page.start : page.end].strip()
    cut = f"\n… {len(text) - LONGEST_PAGE} more characters" if len(text) > LONGEST_PAGE else ""
    return quoted(name, page.label, f"{text[:LONGEST_PAGE]}{cut}")
