"""Images of an answer that waits for a person: they wait as the files that they were made of."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.chat.chat import ChatRequest
from chat_desk import ChatDesk
from domain.conversation.conversation import AssistantTurn, Image, ModelRequest, ToolImage, ToolTurn, UserTurn
from domain.files.files import FileKind
from domain.ids import AgentId, FileId, RunId, UserId
from domain.runs.runs import RunStatus
from domain.runs.waiting_images import LOST, MOST_BYTES, files_of, put_back, set_aside
from domain.tools.tools import ToolCall, ToolResult
from file_desk import stored
from paying import ASKS, DONE, Scene, ended, paying, yes

PIXELS = b"pixels" * 200_000


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


def seeing(scene: Scene) -> ChatDesk:
    desk = scene.process(ASKS, DONE)
    spec = replace(desk.spec, context_window=100_000, vision=True)
    made = ChatDesk(
        scene.transactions, desk.model, storage=desk.storage, parser=desk.parser, spec=spec, tools=desk.tools
    )
    scene.desks.append(made)
    return made


async def waiting(desk: ChatDesk, actor: UserId, agent_id: AgentId, *addresses: str) -> RunId:
    request = ChatRequest("Pay what the picture says", "d", agent_id, file_urls=addresses, background=True)
    run = await desk.start(actor, request)
    await run.wait(10)
    assert (await desk.show(actor, run.state.run_id)).status is RunStatus.WAITING
    return run.state.run_id


def shown(desk: ChatDesk) -> UserTurn:
    return next(turn for turn in desk.model.requests[-1].turns if isinstance(turn, UserTurn))


async def test_an_image_waits_without_its_bytes_and_is_shown_again(scene: Scene) -> None:
    desk = seeing(scene)
    actor, agent_id = await scene.person()
    address = await stored(desk.transactions, desk.storage, actor, PIXELS, "a.png", FileKind.PNG)
    run_id = await waiting(desk, actor, agent_id, address)
    async with scene.transactions.autocommit() as tx:
        _, pause = await tx.pauses.find(run_id, owner=actor)
    assert len(pause.stored) < 10_000
    await desk.approve(actor, run_id, yes())
    await ended(desk, actor, run_id)
    assert len(desk.model.requests) == 2
    assert shown(desk).images == (Image("image/png", PIXELS),)
    assert shown(desk).text.endswith("Pay what the picture says")


@pytest.mark.parametrize("trouble", ["removed", "broken"])
async def test_an_image_that_is_gone_by_then_does_not_cost_the_answer(scene: Scene, trouble: str) -> None:
    desk = seeing(scene)
    actor, agent_id = await scene.person()
    address = await stored(desk.transactions, desk.storage, actor, PIXELS, "a.png", FileKind.PNG)
    run_id = await waiting(desk, actor, agent_id, address)
    file_id = desk.storage.file_of(address)
    assert file_id is not None
    if trouble == "removed":
        async with scene.transactions.autocommit() as tx:
            await tx.files.remove(file_id, desk.clock.now(), owner=actor)
    else:
        desk.storage.contents[file_id] = b"refuse image_broken"
    await desk.approve(actor, run_id, yes())
    await ended(desk, actor, run_id)
    assert (await desk.show(actor, run_id)).status is RunStatus.COMPLETE
    assert shown(desk).images == ()
    assert shown(desk).text.endswith(LOST.format(1))


async def test_what_did_not_change_is_not_understood_twice_and_what_did_is_read_again(scene: Scene) -> None:
    desk = seeing(scene)
    actor, agent_id = await scene.person()
    run_id = await waiting(desk, actor, agent_id)
    async with scene.transactions.begin() as tx:
        _, known = await tx.pauses.find(run_id, owner=actor)
        _, same = await tx.pauses.held(run_id, owner=actor, known=known)
        assert same is known
        approved = known.approve(yes())
        await tx.pauses.save(run_id, approved)
        _, changed = await tx.pauses.held(run_id, owner=actor, known=known)
        assert changed.approvals == (yes(),)
        _, again = await tx.pauses.held(run_id, owner=actor, known=approved)
        assert again is not approved


FILES = [FileId(name) for name in "abc"]
images = st.builds(
    Image,
    st.just("image/png"),
    st.integers(1, MOST_BYTES).map(lambda size: b"x" * size),
    st.none() | st.sampled_from(FILES),
)
turns = st.lists(
    st.builds(UserTurn, st.sampled_from(["a", "b"]), st.lists(images, max_size=3).map(tuple))
    | st.builds(AssistantTurn, st.just("yes")),
    max_size=3,
)


@given(turns, st.sets(st.sampled_from(FILES)))
def test_what_waits_is_small_and_what_was_left_out_is_told(
    said: list[UserTurn | AssistantTurn], there: set[FileId]
) -> None:
    request = ModelRequest("m", "s", tuple(said))
    aside = set_aside(request)
    assert set_aside(aside) == aside
    kept = [image for turn in aside.turns if isinstance(turn, UserTurn) for image in turn.images]
    assert sum(len(image.data) for image in kept) <= MOST_BYTES
    assert all(image.data == b"" for image in kept if image.file_id)
    assert set(files_of(aside)) == {image.file_id for image in kept if image.file_id}
    found = {one: Image("image/jpeg", b"again", one) for one in there}
    back = put_back(aside, found)
    for before, after in zip(request.turns, back.turns, strict=True):
        if isinstance(before, UserTurn) and isinstance(after, UserTurn):
            lost = len(before.images) - len(after.images)
            assert after.text.startswith(before.text)
            assert (lost > 0) == ("not there any more" in after.text)
            assert all(image.data for image in after.images)
        else:
            assert before == after


def test_images_of_results_do_not_wait() -> None:
    told = ToolTurn((ToolResult("c", "draw", "[image 1]"),))
    shown = replace(told, images=(ToolImage("c", 1, Image("image/png", b"x")),))
    called = UserTurn("a"), AssistantTurn("", (ToolCall("c", "draw", "{}"),))
    assert set_aside(ModelRequest("m", "s", (*called, shown))).turns == (*called, told)


def test_of_images_without_a_file_the_newest_wait() -> None:
    old, new = (Image("image/png", name * (MOST_BYTES // 2 + 1)) for name in (b"o", b"n"))
    aside = set_aside(ModelRequest("m", "s", (UserTurn("a", (old,)), UserTurn("b", (new,)))))
    assert aside.turns == (UserTurn(f"a\n{LOST.format(1)}"), UserTurn("b", (new,)))
