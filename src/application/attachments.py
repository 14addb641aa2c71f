"""From the addresses that a question carries to what a model is given: the caller's own files, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from application.document_reading import ReadDocument, ReaderPlaces
from application.files import LinkFile
from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.attachments import MOST_IN_DIALOG, MOST_IN_QUESTION, AttachedDocument
from domain.conversation import Image
from domain.documents import ParsedDocument
from domain.errors import DomainError, InvalidValue, ModelError, TooLarge
from domain.files import Attachment, StoredFile
from domain.ids import FileId, UserId
from domain.messages import Exchange, Message, Question
from domain.models import ModelSpec

MOST_IMAGE_BYTES: Final = 16_000_000
"""Of all images that are shown to a model at once."""

OpenAgain = Callable[[], Awaitable[ParsedDocument]]

NOT_YOURS: Final = "is not the address of one of your files: upload it, and send the address that comes back"


@dataclass(frozen=True, slots=True)
class Attached:
    """What a question brings along, in its order. `files` names all of it, as it is stored with the question.

    `again` opens each of the documents once more, for whoever does not want to hold them.
    """

    files: tuple[Attachment, ...] = ()
    documents: tuple[AttachedDocument, ...] = ()
    again: tuple[OpenAgain, ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenAttachments:
    transactions: Transactions
    storage: FileStorage
    parser: DocumentParser
    places: ReaderPlaces
    read: ReadDocument

    async def __call__(self, actor: UserId, addresses: Sequence[str], spec: ModelSpec) -> Attached:
        """The files of a question. An address is never fetched, its signature and age don't matter.

        Raises InvalidValue `file_url_refused` for anything but the caller's own files, InvalidValue with the parser's
        code for what can't be read, ModelError `model_no_vision` for images and a model that does not see.
        """
        if not addresses:
            return Attached()
        files = await self._own(actor, [self._file_of(address) for address in addresses])
        if images := [file for file in files if file.kind.is_image]:
            _refuse_blind(spec, images)
        attached = self._attached(files, await asyncio.gather(*map(self._open, files)))
        if sum(len(image.data) for image in attached.images) > MOST_IMAGE_BYTES:
            raise TooLarge("file_url", f"the images have more than {MOST_IMAGE_BYTES:,} bytes together")
        return attached

    async def earlier(self, actor: UserId, exchanges: Sequence[Exchange], spec: ModelSpec, asked: Attached) -> Attached:
        """What came with the questions before, newest first, as far as it is still there and can be read."""
        known = {file.file_id for file in asked.files}
        wanted = _newest(exchanges, spec, but=known)
        if not wanted:
            return Attached()
        async with self.transactions.autocommit() as tx:
            found = {file.file_id: file for file in await tx.files.these(wanted, owner=actor)}
        files = [found[file_id] for file_id in wanted if file_id in found]
        opened = await asyncio.gather(*map(self._open, files), return_exceptions=True)
        for one in opened:
            if isinstance(one, BaseException) and not isinstance(one, DomainError):
                raise one
        return self._attached(files, opened, earlier=True)

    def _attached(
        self,
        files: Sequence[StoredFile],
        opened: Sequence[ParsedDocument | Image | BaseException],
        *,
        earlier: bool = False,
    ) -> Attached:
        documents = [
            (AttachedDocument(file.name, one, earlier), partial(self.read, file))
            for file, one in zip(files, opened, strict=True)
            if isinstance(one, ParsedDocument)
        ]
        return Attached(
            tuple(file.attachment for file in files),
            tuple(document for document, _ in documents),
            tuple(again for _, again in documents),
            tuple(one for one in opened if isinstance(one, Image)),
        )

    def _file_of(self, address: str) -> FileId:
        file_id = self.storage.file_of(address)
        if file_id is None:
            raise InvalidValue("file_url", NOT_YOURS, code="file_url_refused")
        return file_id

    async def _own(self, actor: UserId, wanted: Sequence[FileId]) -> Sequence[StoredFile]:
        unique = list(dict.fromkeys(wanted))
        if len(unique) > MOST_IN_QUESTION:
            raise InvalidValue("file_url", f"at most {MOST_IN_QUESTION} files go with one question")
        async with self.transactions.autocommit() as tx:
            found = {file.file_id: file for file in await tx.files.these(unique, owner=actor)}
        if len(found) < len(unique):
            raise InvalidValue("file_url", NOT_YOURS, code="file_url_refused")
        return [found[file_id] for file_id in unique]

    async def _open(self, file: StoredFile) -> ParsedDocument | Image:
        if not file.kind.is_image:
            return await self.read(file)
        async with self.places.of(file.user_id), aclosing(self.storage.read(file.file_id)) as content:
            try:
                return await self.parser.picture(file.kind, content)
            except DocumentRefused as refusal:
                raise InvalidValue("file_url", f"{file.name} {refusal.reason}", code=refusal.code) from refusal


@dataclass(frozen=True, slots=True)
class LinkAttachments:
    """Addresses for the files that messages show; whether the files are still there shows when they are opened."""

    link: LinkFile

    async def __call__(self, messages: Iterable[Message], server: str) -> Mapping[FileId, str]:
        files = {
            file.file_id: file for message in messages if isinstance(message, Question) for file in message.attachments
        }
        return {file_id: await self.link(file, server) for file_id, file in files.items()}


def _refuse_blind(spec: ModelSpec, images: Sequence[StoredFile]) -> None:
    if not spec.vision:
        message = f"The model {spec.llm_id} can't see images such as {images[0].name}: ask a model that can."
        raise ModelError("model_no_vision", message)


def _newest(exchanges: Sequence[Exchange], spec: ModelSpec, *, but: set[FileId]) -> list[FileId]:
    newest = [
        file.file_id
        for exchange in reversed(exchanges)
        for file in exchange.attachments
        if file.file_id not in but and (spec.vision or not file.kind.is_image)
    ]
    return list(dict.fromkeys(newest))[: max(0, MOST_IN_DIALOG - len(but))]
