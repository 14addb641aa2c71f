"""Images that came with the messages themselves: bytes of strangers, opened as those of files are, and kept nowhere."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from application.chat.attachments import MOST_IMAGE_BYTES, OpenAttachments
from application.ports.document_parser import DocumentRefused
from domain.conversation.conversation import Image
from domain.errors import DomainError, InvalidValue, ModelError, TooLarge, Unavailable
from domain.files.attachments import MOST_IN_DIALOG, MOST_IN_QUESTION
from domain.files.file_kinds import KindSniffer
from domain.files.files import FileKind
from domain.ids import UserId
from domain.models.models import ModelSpec

PLACE: Final = "messages"


async def open_images(means: OpenAttachments, actor: UserId, images: Sequence[bytes], spec: ModelSpec) -> list[Image]:
    """Those of the question. Raises InvalidValue, TooLarge, ModelError `model_no_vision`, Unavailable `parser_busy`."""
    if not images:
        return []
    if not spec.vision:
        raise ModelError("model_no_vision", f"The model {spec.llm_id} can't see images: ask a model that can.")
    if len(images) > MOST_IN_QUESTION:
        raise InvalidValue(PLACE, f"at most {MOST_IN_QUESTION} images go with one question")
    try:
        async with asyncio.timeout(means.opening_seconds):
            opened = [await open_image(means, actor, data) for data in images]
    except TimeoutError as slow:
        message = "Your images are still being read: ask again after Retry-After."
        raise Unavailable("parser_busy", message, retry_after=10) from slow
    if sum(len(image.data) for image in opened) > MOST_IMAGE_BYTES:
        raise TooLarge(PLACE, f"the images have more than {MOST_IMAGE_BYTES:,} bytes together")
    return opened


async def open_earlier_images(
    means: OpenAttachments, actor: UserId, images: Sequence[bytes], spec: ModelSpec, asked: Sequence[Image]
) -> list[Image]:
    """Those of earlier questions, the newest first, as many as may be shown beside `asked`, and can be opened."""
    opened: list[Image] = []
    room = MOST_IMAGE_BYTES - sum(len(image.data) for image in asked)
    for data in images[: max(0, MOST_IN_DIALOG - len(asked))] if spec.vision else ():
        with suppress(DomainError):
            image = await open_image(means, actor, data)
            room -= len(image.data)
            if room < 0:
                break
            opened.append(image)
    return opened


async def open_image(means: OpenAttachments, actor: UserId, data: bytes) -> Image:
    """Raises InvalidValue, Unavailable."""
    kind = _kind(data)
    try:
        async with means.places.of(actor):
            return await means.parser.picture(kind, _once(data))
    except DocumentRefused as refusal:
        raise InvalidValue(PLACE, f"an image {refusal.reason}", code=refusal.code) from refusal


def _kind(data: bytes) -> FileKind:
    """By its content, whatever the address says that it is."""
    sniffer = KindSniffer("")
    try:
        sniffer.feed(data)
        kind = sniffer.kind()
    except DomainError:
        kind = FileKind.TEXT
    if not kind.is_image:
        raise InvalidValue(PLACE, "an image must be PNG, JPEG, WEBP or GIF", code="image_kind_not_allowed")
    return kind


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
