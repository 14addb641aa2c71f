"""Images of a run that waits for a person: what can be made again from a file does not wait with its bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from domain.conversation.conversation import Image, ModelRequest, UserTurn, without_tool_images
from domain.ids import FileId

MOST_BYTES: Final = 2_000_000
"""Of images that came without a file. A user may have many answers that wait, for days."""
LOST: Final = "[Images that stood here are not there any more: {}]"


def set_aside(request: ModelRequest) -> ModelRequest:
    """Files stand for the images that were made of them; of the others there are as many as have room, newest first.

    Images of results don't wait: the text of the results tells of them.
    """
    room = MOST_BYTES
    turns = list(without_tool_images(request.turns))
    for at, turn in reversed(list(enumerate(turns))):
        if isinstance(turn, UserTurn) and turn.images:
            kept: list[Image] = []
            for image in turn.images:
                bare = image if image.file_id is None else replace(image, data=b"")
                if len(bare.data) <= room:
                    room -= len(bare.data)
                    kept.append(bare)
            turns[at] = _with(turn, kept)
    return replace(request, turns=tuple(turns))


def files_of(request: ModelRequest) -> Sequence[FileId]:
    """Those that stand for images, each once."""
    images = [image for turn in request.turns if isinstance(turn, UserTurn) for image in turn.images]
    return list(dict.fromkeys(image.file_id for image in images if image.file_id is not None and not image.data))


def put_back(request: ModelRequest, images: Mapping[FileId, Image]) -> ModelRequest:
    """What is gone is said to be gone: the model was told of it before."""
    turns = tuple(_restored(turn, images) if isinstance(turn, UserTurn) else turn for turn in request.turns)
    return replace(request, turns=turns)


def _restored(turn: UserTurn, images: Mapping[FileId, Image]) -> UserTurn:
    found = [image if image.data or image.file_id is None else images.get(image.file_id) for image in turn.images]
    return _with(turn, [image for image in found if image is not None])


def _with(turn: UserTurn, images: Sequence[Image]) -> UserTurn:
    lost = len(turn.images) - len(images)
    text = f"{turn.text}\n{LOST.format(lost)}" if lost else turn.text
    return replace(turn, text=text, images=tuple(images))
