"""The part of the object graph that reads what people attach."""

import logging
from collections.abc import AsyncIterator

from dishka import Provider, Scope, provide

from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import ParserLimits
from application.chat.attachments import LinkAttachments, OpenAttachments
from application.files.document_reading import ReadDocument, ReaderPlaces
from application.ports.document_parser import DocumentParser
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from entrypoints.settings.loading import Settings
from entrypoints.settings.schema import DocumentSettings

log = logging.getLogger("agentchat.documents")


class Documents(Provider):
    """Parsers, and attachments of questions."""

    scope = Scope.APP

    @provide
    async def parsers(self, settings: Settings) -> AsyncIterator[ChildParsers]:
        parsers = ChildParsers(limits_of(settings.documents))
        yield parsers
        await parsers.aclose()

    @provide
    def parser(self, parsers: ChildParsers) -> DocumentParser:
        return parsers

    @provide
    def places(self, settings: Settings) -> ReaderPlaces:
        return ReaderPlaces((settings.documents.workers + 1) // 2)

    @provide
    def read(
        self, transactions: Transactions, storage: FileStorage, parser: DocumentParser, places: ReaderPlaces
    ) -> ReadDocument:
        return ReadDocument(transactions, storage, parser, places, on_trouble=_not_kept)

    links = provide(LinkAttachments)

    @provide
    def attachments(
        self,
        transactions: Transactions,
        storage: FileStorage,
        parser: DocumentParser,
        places: ReaderPlaces,
        read: ReadDocument,
    ) -> OpenAttachments:
        return OpenAttachments(transactions, storage, parser, places, read)


def limits_of(chosen: DocumentSettings) -> ParserLimits:
    return ParserLimits(
        max_pages=chosen.max_pages,
        max_chars=chosen.max_chars,
        timeout_seconds=chosen.timeout_seconds,
        memory_bytes=chosen.memory_bytes,
        workers=chosen.workers,
        documents_per_child=chosen.documents_per_child,
        ocr=chosen.ocr != "none",
    )


def _not_kept(trouble: Exception) -> None:
    log.warning("reading_not_kept", exc_info=trouble)
