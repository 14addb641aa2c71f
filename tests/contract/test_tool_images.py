"""Images in the results of tools: a model that sees is given them, and the text tells of them everywhere else."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step, call, finished
from application.chat.attachments import MOST_IMAGE_BYTES, OpenAttachments
from application.chat.chat import ChatRequest
from application.chat.tool_images import OpenToolImages
from application.files.document_reading import ReadDocument, ReaderPlaces
from application.ports.document_parser import DocumentRefused
from application.ports.tool_runner import ToolOutput, ToolRunner
from chat_desk import ChatDesk
from domain.conversation.conversation import IMAGE_TOKENS, Image, ToolTurn, images_in, request_tokens
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import Unavailable
from domain.files.attachments import MOST_IN_DIALOG
from domain.files.files import FileKind
from domain.ids import AgentId, ToolId, UserId
from domain.runs.runs import RunStatus
from domain.tools.tools import JsonValue
from file_desk import MemoryFiles, PlainParser
from paying import DONE, LOOK, SPEND, Scene, ended, paying, yes

PIXELS = b"GIF89a a castle"
SHOWN = Image("image/gif", PIXELS)
SENTENCE = "[image 1, image/gif, 15 bytes: only models that see are shown it]"
LOOKS: Sequence[Step] = [call("look", call_id="l"), finished()]


class Refusing(PlainParser):
    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        said = b"".join([piece async for piece in content])
        if b"bomb" in said:
            raise DocumentRefused("file_dangerous", "is too large")
        if b"nobody" in said:
            raise Unavailable("parser_unavailable", "There is nothing to read with.")
        return Image(kind.media_type, said)


@dataclass
class Camera:
    """Its spec says LOOK or SPEND: the second one waits for a person's word."""

    spec = LOOK
    images: tuple[bytes, ...] = (PIXELS,)

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return ToolOutput(SENTENCE, images=self.images)


class PaidCamera(Camera):
    spec = SPEND


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


def process(
    scene: Scene,
    *turns: Sequence[Step],
    camera: Camera | None = None,
    parser: PlainParser | None = None,
    **spec: object,
) -> ChatDesk:
    """With a camera; its model sees unless it is said that it does not."""
    desk = scene.process()
    tools: dict[ToolId, ToolRunner] = {LOOK.tool_id: camera or Camera(), SPEND.tool_id: PaidCamera()}
    wanted = {"context_window": 100_000, "vision": True, **spec}
    seeing = replace(desk.spec, **wanted)
    model = ScriptedChatModel(turns=turns)
    made = ChatDesk(scene.transactions, model, parser=parser or PlainParser(), spec=seeing, tools=tools)
    scene.desks.append(made)
    return made


async def looked(desk: ChatDesk, actor: UserId, agent_id: AgentId, question: str = "What is there?") -> Answer:
    run = await desk.start(actor, ChatRequest(question, "d", agent_id, background=True))
    await run.wait(10)
    answer = (await desk.history(actor))[-1]
    assert isinstance(answer, Answer)
    return answer


def told(desk: ChatDesk, number: int = -1) -> list[ToolTurn]:
    """The results that the model was given with its request of that number."""
    return [turn for turn in desk.model.requests[number].turns if isinstance(turn, ToolTurn)]


async def test_a_model_that_sees_is_given_the_image_beside_the_text(scene: Scene) -> None:
    desk = process(scene, LOOKS, DONE)
    answer = await looked(desk, *await scene.person())
    assert answer.status is AnswerStatus.COMPLETE
    [turn] = told(desk)
    assert turn.results[0].content == SENTENCE
    assert [(one.call_id, one.number, one.image) for one in turn.images] == [("l", 1, SHOWN)]


async def test_a_model_that_does_not_see_is_told_of_it(scene: Scene) -> None:
    desk = process(scene, LOOKS, DONE, vision=False)
    answer = await looked(desk, *await scene.person())
    assert answer.status is AnswerStatus.COMPLETE
    [turn] = told(desk)
    assert (turn.results[0].content, turn.images) == (SENTENCE, ())


async def test_nothing_keeps_the_image_and_later_questions_are_told_of_it(scene: Scene) -> None:
    desk = process(scene, LOOKS, DONE, DONE)
    actor, agent_id = await scene.person()
    answer = await looked(desk, actor, agent_id)
    assert answer.rounds[0].results[0].content == SENTENCE
    await looked(desk, actor, agent_id, "And now?")
    assert [turn.images for turn in told(desk)] == [()]
    assert told(desk)[0].results[0].content == SENTENCE
    stored = await everything(scene.transactions)
    assert "only models that see are shown it" in stored
    assert "castle" not in stored
    assert b64encode(PIXELS).decode() not in stored


async def everything(transactions: DatabaseTransactions) -> str:
    """All rows of all tables, as they read."""

    def look() -> str:
        with transactions.database.writer.connect() as connection:
            return repr([connection.execute(table.select()).all() for table in metadata.tables.values()])

    return await transactions.database.run(look)


async def test_an_image_does_not_wait_for_a_person_and_what_was_approved_brings_its_own(scene: Scene) -> None:
    desk = process(scene, LOOKS, [call("spend", call_id="s", amount=1), finished()], DONE)
    actor, agent_id = await scene.person()
    run = await desk.start(actor, ChatRequest("Look, then pay", "d", agent_id, background=True))
    await run.wait(10)
    run_id = run.state.run_id
    assert (await desk.show(actor, run_id)).status is RunStatus.WAITING
    async with scene.transactions.autocommit() as tx:
        _, pause = await tx.pauses.find(run_id, owner=actor)
    assert b"castle" not in pause.stored
    assert images_in(pause.loop.request.turns) == []
    await desk.approve(actor, run_id, yes("s"))
    await ended(desk, actor, run_id)
    before, after = told(desk)
    assert (before.images, before.results[0].content) == ((), SENTENCE)
    assert [(one.call_id, one.image) for one in after.images] == [("s", SHOWN)]


@pytest.mark.parametrize("hostile", [b"", b"no image", b"GIF89a bomb", b"GIF89a nobody reads"])
async def test_an_image_that_can_not_be_opened_costs_itself_alone(scene: Scene, hostile: bytes) -> None:
    desk = process(scene, LOOKS, DONE, camera=Camera((hostile, PIXELS)), parser=Refusing())
    answer = await looked(desk, *await scene.person())
    assert answer.status is AnswerStatus.COMPLETE
    [turn] = told(desk)
    assert [(one.number, one.image) for one in turn.images] == [(2, SHOWN)]


async def test_the_text_of_results_comes_before_their_images_where_the_window_is_small(scene: Scene) -> None:
    """Every image that is shown has room, and one more would have none."""
    desk = process(scene, LOOKS, DONE, camera=Camera((PIXELS,) * 8), context_window=14_000)
    answer = await looked(desk, *await scene.person())
    assert answer.status is AnswerStatus.COMPLETE
    [turn] = told(desk)
    assert turn.results[0].content == SENTENCE
    assert 1 <= len(turn.images) < 8
    room = 14_000 - 1_400 - 3_500 - request_tokens(desk.model.requests[-1])
    assert 0 <= room < IMAGE_TOKENS


class Film(Camera):
    """Images alone at first, then text alone."""

    def __init__(self, text: str) -> None:
        super().__init__((PIXELS,) * 8)
        self._text = text

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        output, self.images = ToolOutput(SENTENCE if self.images else self._text, images=self.images), ()
        return output


async def test_images_that_were_seen_give_way_to_the_text_of_later_results(scene: Scene) -> None:
    text = "word " * 3_000
    again: Sequence[Step] = [call("look", call_id="m"), finished()]
    desk = process(scene, LOOKS, again, DONE, camera=Film(text), context_window=14_000)
    answer = await looked(desk, *await scene.person())
    assert answer.status is AnswerStatus.COMPLETE
    [seen] = told(desk, 1)
    assert seen.images
    before, after = told(desk)
    assert (before.results, after.results[0].content) == (seen.results, text)
    assert before.images == ()


class Weighing(PlainParser):
    """Opens an image to as many bytes as it says that it has."""

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        said = b"".join([piece async for piece in content])
        return Image(kind.media_type, bytes(int(said[6:])))


SIZES = st.lists(st.lists(st.integers(1, MOST_IMAGE_BYTES // 3), max_size=9), max_size=4)


@given(SIZES, st.lists(st.integers(1, MOST_IMAGE_BYTES // 4), max_size=6))
@settings(max_examples=30, deadline=None)
def test_all_images_of_a_request_together_keep_the_limits(sizes: list[list[int]], before: list[int]) -> None:
    brought = {f"c{at}": [b"GIF89a%d" % size for size in some] for at, some in enumerate(sizes)}
    shown = [Image("image/png", bytes(size)) for size in before]
    opened = asyncio.run(opening(Weighing())(UserId("u"), brought, shown))
    together = [*before, *(len(one.image.data) for one in opened)]
    assert len(together) <= max(MOST_IN_DIALOG, len(before))
    assert sum(together) <= max(MOST_IMAGE_BYTES, sum(before))
    assert all(sizes[int(one.call_id[1:])][one.number - 1] == len(one.image.data) for one in opened)
    if sum(map(sum, sizes)) + sum(before) <= MOST_IMAGE_BYTES and sum(map(len, sizes)) + len(before) <= MOST_IN_DIALOG:
        assert len(opened) == sum(map(len, sizes))


async def test_images_that_take_too_long_are_not_waited_for() -> None:
    class Slow(PlainParser):
        async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
            if b"slow" in b"".join([piece async for piece in content]):
                await asyncio.Event().wait()
            return SHOWN

    brought = {"a": [PIXELS], "b": [b"GIF89aslow"], "c": [PIXELS]}
    opened = await opening(Slow(), seconds=0.05)(UserId("u"), brought, [])
    assert [one.call_id for one in opened] == ["a"]


def opening(parser: PlainParser, seconds: float = 60) -> OpenToolImages:
    """Images of results lie in no storage and no database."""
    nowhere = cast("DatabaseTransactions", None)
    storage, places = MemoryFiles(), ReaderPlaces(1)
    read = ReadDocument(nowhere, storage, parser, places, print)
    return OpenToolImages(OpenAttachments(nowhere, storage, parser, places, read, seconds))
