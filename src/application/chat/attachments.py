"""From the addresses that a question carries to what a model is given: the caller's own files, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from application.files.document_reading import ReadDocument, ReaderPlaces
from application.files.files import LinkFile
from application.files.own_files import file_of, own_files
from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.conversation.conversation import Image
from domain.dialogs.messages import Message, Question
from domain.errors import DomainError, InvalidValue, ModelError, TooLarge, Unavailable
from domain.files.attachments import MOST_IN_DIALOG, MOST_IN_QUESTION, AttachedDocument
from domain.files.documents import ParsedDocument
from domain.files.files import Attachment, StoredFile
from domain.ids import FileId, UserId
from domain.models.models import ModelSpec
from domain.tokens import CHARACTERS_A_TOKEN

MOST_IMAGE_BYTES: Final = 16_000_000
"""Of all images that are shown to a model at once."""
OPENING_SECONDS: Final = 50.0
"""Until the first byte of an answer: proxies wait for a minute."""

OpenAgain = Callable[[], Awaitable[ParsedDocument]]

UNREAD: Final = ParsedDocument("…")
"""Stands for a document that has no room in the prompt."""


@dataclass(slots=True)
class Attached:
    """What a question brings along, in its order. `files` names all of it, as it is stored with the question.

    Documents are kept as far as the model's window could show them. `again` opens each of them whole.
    """

    files: tuple[Attachment, ...] = ()
    documents: list[AttachedDocument] = field(default_factory=list)
    again: list[OpenAgain] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)

    @property
    def image_bytes(self) -> int:
        return sum(len(image.data) for image in self.images)


@dataclass(frozen=True, slots=True)
class OpenAttachments:
    """Files are opened one after the other, so that a question holds one whole document at a time."""

    transactions: Transactions
    storage: FileStorage
    parser: DocumentParser
    places: ReaderPlaces
    read: ReadDocument
    opening_seconds: float = OPENING_SECONDS

    async def __call__(self, actor: UserId, addresses: Sequence[str], spec: ModelSpec) -> Attached:
        """The files of a question. An address is never fetched, its signature and age don't matter.

        Raises InvalidValue `file_url_refused` for anything but the caller's own files, InvalidValue with the parser's
        code for what can't be read, ModelError `model_no_vision` for images and a model that does not see, Unavailable
        `parser_busy` when the files take too long to be read now.
        """
        if not addresses:
            return Attached()
        files = await self._own(actor, [file_of(self.storage, address) for address in addresses])
        if images := [file for file in files if file.kind.is_image]:
            _refuse_blind(spec, images)
        attached = Attached(tuple(file.attachment for file in files))
        try:
            async with asyncio.timeout(self.opening_seconds):
                for file in files:
                    await self._open(file, spec, attached)
        except TimeoutError as slow:
            message = "Your files are still being read: ask again after Retry-After."
            raise Unavailable("parser_busy", message, retry_after=10) from slow
        if attached.image_bytes > MOST_IMAGE_BYTES:
            raise TooLarge("file_url", f"the images have more than {MOST_IMAGE_BYTES:,} bytes together")
        return attached

    async def earlier(self, actor: UserId, before: Sequence[Attachment], spec: ModelSpec, asked: Attached) -> Attached:
        """What came with earlier questions, newest first, as far as it is still there and can be read now.

        As many images as may be shown, and as many documents as the window could show; the others can be opened again.
        """
        earlier = Attached()
        wanted = _newest(before, spec, but={file.file_id for file in asked.files})
        if not wanted:
            return earlier
        async with self.transactions.autocommit() as tx:
            found = {file.file_id: file for file in await tx.files.these(wanted, owner=actor)}
        for file in (found[file_id] for file_id in wanted if file_id in found):
            with suppress(DomainError):
                await self._open_earlier(file, spec, earlier, MOST_IMAGE_BYTES - asked.image_bytes)
        return earlier

    async def pictures(self, actor: UserId, wanted: Sequence[FileId]) -> Mapping[FileId, Image]:
        """Images that were shown before, without those that are gone or can't be made now."""
        if not wanted:
            return {}
        async with self.transactions.autocommit() as tx:
            files = await tx.files.these(wanted, owner=actor)
        found: dict[FileId, Image] = {}
        for file in files:
            with suppress(DomainError):
                found[file.file_id] = await self._picture(file)
        return found

    async def _open(self, file: StoredFile, spec: ModelSpec, attached: Attached) -> None:
        if file.kind.is_image:
            attached.images.append(await self._picture(file))
        else:
            document = await self.read(file)
            attached.documents.append(AttachedDocument.of(file.name, document, _characters(spec)))
            attached.again.append(partial(self.read, file))

    async def _open_earlier(self, file: StoredFile, spec: ModelSpec, earlier: Attached, image_bytes: int) -> None:
        if file.kind.is_image:
            if earlier.image_bytes < image_bytes:
                image = await self._picture(file)
                if earlier.image_bytes + len(image.data) <= image_bytes:
                    earlier.images.append(image)
            return
        left = _characters(spec) - sum(len(one.document.text) for one in earlier.documents)
        document = await self.read(file) if left > 0 else UNREAD
        earlier.documents.append(AttachedDocument.of(file.name, document, left, earlier=True))
        earlier.again.append(partial(self.read, file))

    async def _picture(self, file: StoredFile) -> Image:
        async with self.places.of(file.user_id), aclosing(self.storage.read(file.file_id)) as content:
            try:
                return replace(await self.parser.picture(file.kind, content), file_id=file.file_id)
            except DocumentRefused as refusal:
                raise InvalidValue("file_url", f"{file.name} {refusal.reason}", code=refusal.code) from refusal

    async def _own(self, actor: UserId, wanted: Sequence[FileId]) -> Sequence[StoredFile]:
        unique = list(dict.fromkeys(wanted))
        if len(unique) > MOST_IN_QUESTION:
            raise InvalidValue("file_url", f"at most {MOST_IN_QUESTION} files go with one question")
        return await own_files(self.transactions, actor, unique)


@dataclass(frozen=True, slots=True)
class LinkAttachments:
    """Addresses for the files that messages show; whether the files are still there shows when they are opened."""

    link: LinkFile

    async def __call__(self, messages: Iterable[Message], server: str) -> Mapping[FileId, str]:
        files = {
            file.file_id: file for message in messages if isinstance(message, Question) for file in message.attachments
        }
        return {file_id: await self.link(file, server) for file_id, file in files.items()}


def _characters(spec: ModelSpec) -> int:
    """More than the model's window could show."""
    return spec.context_window * CHARACTERS_A_TOKEN


def _refuse_blind(spec: ModelSpec, images: Sequence[StoredFile]) -> None:
    if not spec.vision:
        message = f"The model {spec.llm_id} can't see images such as {images[0].name}: ask a model that can."
        raise ModelError("model_no_vision", message)


def _newest(before: Sequence[Attachment], spec: ModelSpec, *, but: set[FileId]) -> list[FileId]:
    newest = [file.file_id for file in before if file.file_id not in but and (spec.vision or not file.kind.is_image)]
    return list(dict.fromkeys(newest))[: max(0, MOST_IN_DIALOG - len(but))]
