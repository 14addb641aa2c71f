"""The tool by which a model finds what did not fit into its prompt: in the documents of one dialog, and no others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from application.ports.tool_runner import ToolFailed
from domain.attachments import AttachedDocument, fenced, page_mark, plain_name
from domain.documents import Page
from domain.ids import ToolId
from domain.lexical import LexicalIndex
from domain.passages import Passage, passages
from domain.tools import JsonValue, ToolSpec

MOST_PASSAGES: Final = 8
LONGEST_PAGE: Final = 12_000
LONGEST_QUERY: Final = 2_000
NAME: Final = "search_attachment"


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
    """Made for one run. The index is made when it is first asked, beside the event loop."""

    def __init__(self, documents: Sequence[AttachedDocument]) -> None:
        self._documents = tuple(documents)
        self._spec = search_spec([plain_name(one.name) for one in documents])
        self._indexes: dict[int, tuple[Sequence[Passage], LexicalIndex]] = {}

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> str:
        chosen = self._chosen(arguments.get("file"))
        page, query = arguments.get("page"), arguments.get("query")
        if isinstance(page, int) and not isinstance(page, bool):
            return self._read_page(chosen, page)
        if not isinstance(query, str) or not query.strip():
            raise ToolFailed("Give a query, a text of some words, or the number of a page.")
        found = await asyncio.to_thread(self._search, chosen, query[:LONGEST_QUERY])
        return found or "Nothing in the documents shares a word with that query. Try other words, or read a page."

    def _chosen(self, name: JsonValue) -> Sequence[int]:
        everything = range(len(self._documents))
        if name is None or name == "":
            return everything
        wanted = plain_name(name).casefold() if isinstance(name, str) else None
        chosen = [number for number in everything if plain_name(self._documents[number].name).casefold() == wanted]
        if not chosen:
            known = "; ".join(plain_name(one.name) for one in self._documents)
            raise ToolFailed(f"There is no such document. Documents: {known}.")
        return chosen

    def _read_page(self, chosen: Sequence[int], number: int) -> str:
        pages = [(self._documents[one], page) for one in chosen for page in self._documents[one].document.pages]
        found = [(one, page) for one, page in pages if page.number == number]
        if not found:
            last = max((page.number for _, page in pages), default=0)
            raise ToolFailed(f"There is no page {number}: {f'the last is {last}' if last else 'there are no pages'}.")
        return "\n\n".join(_page_text(one, page) for one, page in found)

    def _search(self, chosen: Sequence[int], query: str) -> str:
        """Best passages of each document in turn, so that a long one does not hide the others."""
        ranked = [[(number, place) for place in self._best(number, query)] for number in chosen]
        turns = [hits[turn] for turn in range(MOST_PASSAGES) for hits in ranked if turn < len(hits)]
        return "\n\n".join(self._quoted(number, place) for number, place in turns[:MOST_PASSAGES])

    def _best(self, number: int, query: str) -> Sequence[Passage]:
        index = self._indexes.get(number)
        if index is None:
            document = self._documents[number].document
            found = passages(document)
            index = found, LexicalIndex([document.text[one.start : one.end] for one in found])
            self._indexes[number] = index
        return [index[0][place] for place in index[1].best(query, MOST_PASSAGES)]

    def _quoted(self, number: int, passage: Passage) -> str:
        one = self._documents[number]
        text = fenced(one.document.text[passage.start : passage.end]).strip()
        return f"{_source(one, passage.label)}\n{text}"


def _page_text(one: AttachedDocument, page: Page) -> str:
    text = one.document.text[page.start : page.end].strip()
    cut = f"\n… {len(text) - LONGEST_PAGE} more characters" if len(text) > LONGEST_PAGE else ""
    return f"{_source(one, page.label)}\n{fenced(text[:LONGEST_PAGE])}{cut}"


def _source(one: AttachedDocument, label: str | None) -> str:
    return page_mark(one.name if label is None else f"{one.name}, {label}")
