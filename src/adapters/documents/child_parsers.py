"""DocumentParser over a pool of child processes."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version as version_of
from typing import Final

from adapters.documents.answers import LASTING, is_long, is_proper
from adapters.documents.child_process import ChildFailed, ChildProcess
from adapters.documents.limits import ParserLimits
from adapters.documents.messages import Answer, Parsed, Pictured, Question, Refused, Task
from adapters.documents.spool import spooled
from application.ports.document_parser import DocumentRefused
from domain.conversation.conversation import Image
from domain.errors import Unavailable
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind

log = logging.getLogger("agentchat.documents")

CODE_VERSION: Final = 2
"""To be raised whenever our own code reads the same bytes differently: the tests' corpus is pinned to it."""
_PLACES: Final = 2
"""Contents that lie on the disk for each worker: one is read, and one is there when its turn comes."""
_LIBRARIES: Final = ("pypdfium2", "python-docx", "python-pptx", "openpyxl", "selectolax")


class ChildParsers:
    """At most `workers` children, started when they are needed; who comes when all are busy waits in turn.

    Nothing of a content is taken before there is a place for it on the disk. Both the places and the turns go to who
    came first. Belongs to one event loop. A child serves many documents one after the other, never two at a time.
    """

    def __init__(self, limits: ParserLimits | None = None) -> None:
        self._limits = limits or ParserLimits()
        self._version = _version(self._limits)
        self._places = asyncio.Semaphore(_PLACES * self._limits.workers)
        self._turns = asyncio.Semaphore(self._limits.workers)
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._questions = 0
        self._closed = False

    @property
    def version(self) -> str:
        return self._version

    @property
    def children(self) -> tuple[int, ...]:
        """The ids of the processes that are there now, those at work first."""
        return tuple(child.pid for child in (*self._busy, *self._idle))

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        match await self._read("parse", kind, content):
            case Parsed(document=document):
                return document
            case answer:
                raise _refusal(answer)

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        match await self._read("picture", kind, content):
            case Pictured(image=image):
                return image
            case answer:
                raise _refusal(answer)

    async def aclose(self) -> None:
        """End every child, busy ones too, and wait until none is left."""
        self._closed = True
        for child in (*self._busy, *self._idle):
            self._dismiss(child)
        self._idle.clear()
        while self._leaving:
            await asyncio.wait(set(self._leaving))

    async def _read(self, task: Task, kind: FileKind, content: AsyncIterator[bytes]) -> Answer:
        async with self._places:
            self._refuse_when_closed()
            async with spooled(content) as descriptor, self._turns:
                return await self._answer(task, kind, descriptor) or _crashed()

    async def _answer(self, task: Task, kind: FileKind, descriptor: int) -> Answer | None:
        child = await self._child()
        may_be_worn = child.asked > 0
        began = time.monotonic()
        answer = await self._asked(child, task, kind, descriptor)
        if may_be_worn and (answer is None or _is_out_of_memory(answer)):
            # Is it this document, or what earlier ones left behind? A new child knows, in the time that is left.
            spent = time.monotonic() - began
            answer = await self._asked(await self._child(fresh=True), task, kind, descriptor, spent)
        return answer

    async def _asked(
        self, child: ChildProcess, task: Task, kind: FileKind, descriptor: int, spent: float = 0.0
    ) -> Answer | None:
        """None when the child failed over it. `spent` are seconds that the document has had already."""
        self._busy.add(child)
        self._questions += 1
        question = Question(self._questions, task, kind.value)
        kept = False
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            async with asyncio.timeout(self._limits.timeout_seconds - spent):
                answer = await child.ask(question, descriptor)
            check = partial(is_proper, answer, question.number, task, self._limits)
            kept = await asyncio.to_thread(check) if is_long(answer) else check()
        except TimeoutError:
            reason = f"took longer than {self._limits.timeout_seconds:g} seconds to read"
            raise DocumentRefused("file_parse_timeout", reason, lasting=False) from None
        except ChildFailed as error:
            log.warning("A child failed over a document of kind %s: %s", kind, error)
            self._refuse_when_closed()
            return None
        finally:
            self._put_back(child, kept=kept)
        if not kept:
            log.warning("A child gave an answer that can't be right to a document of kind %s", kind)
        return answer if kept else None

    async def _child(self, *, fresh: bool = False) -> ChildProcess:
        self._refuse_when_closed()
        while self._idle:
            child = self._idle.pop()
            if child.is_alive and not fresh:
                return child
            self._dismiss(child)
            if fresh:
                break
        try:
            child = await ChildProcess.start(self._limits)
        except (ChildFailed, OSError) as error:
            log.error("No child to read documents can be started: %s", error)  # noqa: TRY400 - the reason is enough
            raise _unavailable() from error
        if self._closed:
            self._dismiss(child)
        self._refuse_when_closed()
        return child

    def _put_back(self, child: ChildProcess, *, kept: bool) -> None:
        self._busy.discard(child)
        spent = child.asked >= self._limits.documents_per_child or child.peak > self._limits.worn_bytes
        if kept and not spent and not self._closed:
            self._idle.append(child)
        else:
            self._dismiss(child)

    def _dismiss(self, child: ChildProcess) -> None:
        child.kill()
        leaving = asyncio.ensure_future(child.gone())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise _unavailable()


def _version(limits: ParserLimits) -> str:
    libraries = (*_LIBRARIES, "rapidocr") if limits.ocr else _LIBRARIES
    found = " ".join(f"{name}={version_of(name)}" for name in libraries)
    return f"{CODE_VERSION} pages={limits.max_pages} chars={limits.max_chars} ocr={int(limits.ocr)} {found}"


def _is_out_of_memory(answer: Answer) -> bool:
    return isinstance(answer, Refused) and answer.code == "file_too_complex"


def _crashed() -> Refused:
    reason = "could not be read: its reader broke down over it, for it is damaged or needs too much memory"
    return Refused(0, 0, "file_too_complex", reason)


def _refusal(answer: Answer) -> DocumentRefused:
    assert isinstance(answer, Refused)  # noqa: S101 - every answer was checked against its question
    return DocumentRefused(answer.code, answer.reason, lasting=answer.code in LASTING)


def _unavailable() -> Unavailable:
    return Unavailable("parser_unavailable", "Documents can't be read now: try again soon.", retry_after=5)
