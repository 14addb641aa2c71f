"""Images in the results of tools: bytes of strangers, opened as those of files are, and kept nowhere."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from application.chat.attachments import MOST_IMAGE_BYTES, OpenAttachments
from application.chat.given_images import open_image
from domain.conversation.conversation import Image, ToolImage
from domain.errors import DomainError
from domain.files.attachments import MOST_IN_DIALOG
from domain.ids import UserId


@dataclass(frozen=True, slots=True)
class OpenToolImages:
    means: OpenAttachments

    async def __call__(
        self, actor: UserId, brought: Mapping[str, Sequence[bytes]], shown: Sequence[Image]
    ) -> tuple[ToolImage, ...]:
        """By call, as many as may be shown beside `shown`, and can be opened in time. The text tells of the others."""
        opened: list[ToolImage] = []
        room = MOST_IMAGE_BYTES - sum(len(image.data) for image in shown)
        found = [(call_id, *one) for call_id, images in brought.items() for one in enumerate(images, 1)]
        with suppress(TimeoutError):
            async with asyncio.timeout(self.means.opening_seconds):
                for call_id, number, data in found:
                    if len(opened) + len(shown) >= MOST_IN_DIALOG:
                        break
                    with suppress(DomainError):
                        image = await open_image(self.means, actor, data)
                        if len(image.data) <= room:
                            room -= len(image.data)
                            opened.append(ToolImage(call_id, number, image))
        return tuple(opened)
