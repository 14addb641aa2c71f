"""Pictures of strangers become pictures for models: upright, small, and nothing but pixels."""

import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import LONGEST_EDGE, MAX_PICTURE_BYTES
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_pictures import CASES, JPEG, PNG, Shown, animated, clear, noisy, saved, turned
from documents_corpus.document_feed import chunks
from domain.conversation import conversation
from domain.files.files import FileKind


@pytest.fixture(scope="module")
async def parser() -> AsyncIterator[ChildParsers]:
    opened = ChildParsers()
    yield opened
    await opened.aclose()


def opened(image: conversation.Image) -> Image.Image:
    return Image.open(io.BytesIO(image.data))


async def outcome_of(case: Shown, parser: ChildParsers) -> conversation.Image | DocumentRefused:
    try:
        return await parser.picture(case.kind, chunks(case.make()))
    except DocumentRefused as refused:
        return refused


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_each_picture_becomes_what_it_must(case: Shown, parser: ChildParsers) -> None:
    outcome = await outcome_of(case, parser)
    if isinstance(outcome, DocumentRefused):
        assert (outcome.code, outcome.lasting) == (case.code, True), outcome.reason
        return
    picture = opened(outcome)
    assert (outcome.media_type, picture.size, "") == (case.media_type, case.size, case.code)
    assert Image.MIME[str(picture.format)] == outcome.media_type
    assert getattr(picture, "n_frames", 1) == 1
    assert len(outcome.data) <= MAX_PICTURE_BYTES
    assert max(picture.size) <= LONGEST_EDGE
    assert not picture.getexif()


async def test_a_turned_picture_is_set_upright_and_says_nothing_of_its_place(parser: ChildParsers) -> None:
    image = await parser.picture(FileKind.JPEG, chunks(turned(6)))
    picture = opened(image).convert("RGB")
    top, bottom = picture.getpixel((15, 3)), picture.getpixel((15, 36))
    assert top[0] > 200 > 50 > top[2]
    assert bottom[2] > 200 > 50 > bottom[0]
    assert b"secret" not in image.data


@pytest.mark.parametrize("kind", [FileKind.GIF, FileKind.WEBP])
async def test_of_an_animation_the_first_frame_is_taken(kind: FileKind, parser: ChildParsers) -> None:
    image = await parser.picture(kind, chunks(animated(kind)))
    red, green, blue = opened(image).convert("RGB").getpixel((5, 5))
    assert red > 200 > 60 > max(green, blue)


async def test_what_is_clear_stays_clear(parser: ChildParsers) -> None:
    image = await parser.picture(FileKind.PNG, chunks(clear()))
    assert image.media_type == PNG
    assert opened(image).convert("RGBA").getpixel((5, 5))[3] == 0


async def test_what_is_clear_becomes_white_where_it_must_become_a_jpeg(parser: ChildParsers) -> None:
    picture = noisy((1500, 1500)).convert("RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, 200, 200))
    image = await parser.picture(FileKind.PNG, chunks(saved(picture, FileKind.PNG)))
    assert image.media_type == JPEG
    assert min(opened(image).convert("RGB").getpixel((50, 50))) > 240


async def test_a_grey_picture_of_16_bits_keeps_its_shades(parser: ChildParsers) -> None:
    image = await parser.picture(FileKind.PNG, chunks(saved(Image.new("I;16", (9, 9), 32_768), FileKind.PNG)))
    assert opened(image).convert("L").getpixel((4, 4)) in {127, 128}


async def test_a_picture_is_no_document(parser: ChildParsers) -> None:
    with pytest.raises(DocumentRefused) as refused:
        await parser.parse(FileKind.PNG, chunks(clear()))
    assert refused.value.code == "file_broken"
