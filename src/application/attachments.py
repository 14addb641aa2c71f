"""From the addresses that a question carries to what a model is given: the caller's own files, and nothing else."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from application.document_reading import ReadDocument
from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.attachments import MOST_IN_DIALOG, MOST_IN_QUESTION, AttachedDocument
from domain.conversation import Image
from domain.errors import DomainError, InvalidValue, ModelError
from domain.files import Attachment, StoredFile
from domain.ids import FileId, UserId
from domain.messages import Exchange
from domain.models import ModelSpec

NOT_YOURS = "is not the address of one of your files: upload the file and send the address that the upload answers with"


@dataclass(frozen=True, slots=True)
class Attached:
    """What a question brings along, in its order. `files` names all of it, as it is stored with the question."""

    files: tuple[Attachment, ...] = ()
    documents: tuple[AttachedDocument, ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenAttachments:
    transactions: Transactions
    storage: FileStorage
    parser: DocumentParser
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
        opened = await asyncio.gather(*map(self._open, files))
        return Attached(
            tuple(file.attachment for file in files),
            tuple(one for one in opened if isinstance(one, AttachedDocument)),
            tuple(one for one in opened if isinstance(one, Image)),
        )

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
        return Attached(
            documents=tuple(
                AttachedDocument(one.name, one.document, earlier=True)
                for one in opened
                if isinstance(one, AttachedDocument)
            ),
            images=tuple(one for one in opened if isinstance(one, Image)),
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

    async def _open(self, file: StoredFile) -> AttachedDocument | Image:
        if not file.kind.is_image:
            return AttachedDocument(file.name, await self.read(file))
        async with aclosing(self.storage.read(file.file_id)) as content:
            try:
                return await self.parser.picture(file.kind, content)
            except DocumentRefused as refusal:
                raise InvalidValue("file_url", f"{file.name} {refusal.reason}", code=refusal.code) from refusal


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
