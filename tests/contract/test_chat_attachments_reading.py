"""How the files of questions are read, on both databases: once, fairly, and whatever fails meanwhile."""

import asyncio
import gc
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, delta, finished, hold
from application.chat.chat import ChatRequest
from asked_files import ask, said, with_window
from chat_desk import ChatDesk
from domain.conversation.conversation import ModelRequest
from domain.errors import InvalidValue, NotFound, Unavailable
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind
from domain.ids import FileId
from file_desk import stored
from patience import PATIENCE


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> ChatDesk:
    return ChatDesk(transactions, ScriptedChatModel([delta("So it is."), finished()], repeat=True))


async def test_what_can_not_be_read_is_refused_with_its_name_and_reason(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"refuse file_encrypted", "locked.pdf")
    for _ in range(2):
        with pytest.raises(InvalidValue, match=r"locked\.pdf can't be read") as refused:
            await ask(desk, actor, "Read", address)
        assert refused.value.code == "file_encrypted"
    assert len(desk.parser.parsed) == 1
    with pytest.raises(NotFound):
        await desk.history(actor)


async def test_a_passing_trouble_of_the_parser_is_not_kept(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"refuse file_parse_timeout now")
    for _ in range(2):
        with pytest.raises(InvalidValue):
            await ask(desk, actor, "Read", address)
    assert len(desk.parser.parsed) == 2


async def test_a_content_is_read_once_for_all_who_have_it(desk: ChatDesk) -> None:
    people = [await desk.person() for _ in range(5)]
    addresses = [await stored(desk.transactions, desk.storage, one, b"the same") for one in people]
    await asyncio.gather(*(ask(desk, one, "Read", address) for one, address in zip(people, addresses, strict=True)))
    another = ChatDesk(desk.transactions, desk.model, storage=desk.storage, parser=desk.parser)
    await ask(another, people[0], "Again", addresses[0])
    assert len(desk.parser.parsed) == 1


async def test_another_version_of_the_parser_or_another_kind_reads_anew(desk: ChatDesk) -> None:
    actor = await desk.person()
    one = await stored(desk.transactions, desk.storage, actor, b"a,b", "a.csv", FileKind.CSV)
    two = await stored(desk.transactions, desk.storage, actor, b"a,b", "a.txt", FileKind.TEXT)
    await ask(desk, actor, "Read", one, two)
    desk.parser.version = "plain-2"
    await ask(desk, actor, "Read", one, dialog="another")
    assert desk.parser.parsed == [FileKind.CSV, FileKind.TEXT, FileKind.CSV]


async def test_the_storage_being_down_refuses_files_and_nothing_else(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"text")
    desk.storage.down = True
    with pytest.raises(Unavailable) as refused:
        await ask(desk, actor, "Read", address)
    assert refused.value.code == "storage_unavailable"
    await ask(desk, actor, "No file")
    assert len(await desk.history(actor)) == 2


async def test_an_earlier_document_that_can_not_be_opened_now_stops_no_answer(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"text")
    await ask(desk, actor, "Read this", address)
    desk.parser.version = "plain-2"
    desk.storage.down = True
    assert said(await ask(desk, actor, "And?")) == "And?"


async def test_who_has_slow_documents_waits_alone(desk: ChatDesk) -> None:
    slow, other = await desk.person(), await desk.person()
    desk.parser.gate = asyncio.Event()
    addresses = [await stored(desk.transactions, desk.storage, slow, b"slow %d" % n) for n in range(5)]
    waiting = [asyncio.create_task(ask(desk, slow, "Read", one, dialog=f"d{n}")) for n, one in enumerate(addresses)]
    while not desk.parser.reading:
        await asyncio.sleep(0)
    address = await stored(desk.transactions, desk.storage, other, b"quick")
    async with asyncio.timeout(PATIENCE):
        assert "quick" in said(await ask(desk, other, "Read", address))
    assert desk.parser.reading == 1
    desk.parser.gate.set()
    await asyncio.gather(*waiting)


async def test_one_who_goes_away_does_not_stop_the_reading_for_the_others(desk: ChatDesk) -> None:
    people = [await desk.person() for _ in range(2)]
    desk.parser.gate = asyncio.Event()
    addresses = [await stored(desk.transactions, desk.storage, one, b"slow and the same") for one in people]
    asking = [
        asyncio.create_task(ask(desk, one, "Read", address)) for one, address in zip(people, addresses, strict=True)
    ]
    while not desk.parser.reading:
        await asyncio.sleep(0)
    asking[0].cancel()
    desk.parser.gate.set()
    assert "slow and the same" in str(await asking[1])
    assert len(desk.parser.parsed) == 1


async def test_a_copy_that_is_gone_does_not_spoil_the_same_content_of_another(desk: ChatDesk) -> None:
    one, other = await desk.person(), await desk.person()
    lost = await stored(desk.transactions, desk.storage, one, b"the same")
    kept = await stored(desk.transactions, desk.storage, other, b"the same")
    desk.storage.contents.pop(FileId(lost.rpartition("/")[2].partition("?")[0]))
    with pytest.raises(NotFound):
        await ask(desk, one, "Read", lost)
    # At once, the first is refused, or given what the reading of the other's copy already says.
    first, second = await asyncio.gather(
        ask(desk, one, "Read", lost), ask(desk, other, "Read", kept), return_exceptions=True
    )
    assert isinstance(first, NotFound | ModelRequest)
    assert isinstance(second, ModelRequest)
    assert "the same" in said(second)


async def test_nobody_waits_behind_the_queue_of_another_for_the_same_content(desk: ChatDesk) -> None:
    busy, idle = await desk.person(), await desk.person()
    desk.parser.gate = asyncio.Event()
    first = await stored(desk.transactions, desk.storage, busy, b"slow")
    theirs = await stored(desk.transactions, desk.storage, busy, b"shared")
    mine = await stored(desk.transactions, desk.storage, idle, b"shared")
    waiting = asyncio.create_task(ask(desk, busy, "Read", first, theirs))
    while not desk.parser.reading:
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        assert "shared" in said(await ask(desk, idle, "Read", mine))
    desk.parser.gate.set()
    await waiting


async def test_files_that_take_too_long_are_read_on_and_the_next_try_has_them(desk: ChatDesk) -> None:
    desk.start = replace(desk.start, attachments=replace(desk.attachments, opening_seconds=0.2))
    actor = await desk.person()
    desk.parser.gate = asyncio.Event()
    address = await stored(desk.transactions, desk.storage, actor, b"slow document")
    with pytest.raises(Unavailable) as refused:
        await ask(desk, actor, "Read", address)
    assert (refused.value.code, refused.value.retry_after) == ("parser_busy", 10)
    desk.parser.gate.set()
    assert "slow document" in said(await ask(desk, actor, "Read", address))
    assert len(desk.parser.parsed) == 1


async def test_a_refusal_that_may_pass_is_given_again_for_a_while(desk: ChatDesk) -> None:
    read = replace(desk.attachments.read, refused_seconds=60.0)
    desk.start = replace(desk.start, attachments=replace(desk.attachments, read=read))
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"refuse file_parse_timeout now")
    for _ in range(3):
        with pytest.raises(InvalidValue):
            await ask(desk, actor, "Read", address)
    assert len(desk.parser.parsed) == 1


async def test_earlier_documents_without_room_are_not_even_opened(desk: ChatDesk) -> None:
    narrow = with_window(desk, 2000)
    actor = await narrow.person()
    for number in range(4):
        text = b"number %d " % number * 1000
        await ask(
            narrow, actor, "Read", await stored(narrow.transactions, narrow.storage, actor, text, f"{number}.txt")
        )
    narrow.parser.version, opened = "plain-2", len(narrow.parser.parsed)
    request = await ask(narrow, actor, "And?")
    assert len(narrow.parser.parsed) == opened + 1
    assert "number 3" in said(request)
    assert {f"{number}.txt" for number in range(4) if f"{number}.txt" in request.tools[-1].description} == {
        "0.txt", "1.txt", "2.txt", "3.txt",
    }  # fmt: skip


async def test_a_long_answer_does_not_hold_its_documents(transactions: DatabaseTransactions) -> None:
    gate = hold()
    desk = ChatDesk(transactions, ScriptedChatModel([gate, delta("x")]))
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"word " * 20_000)
    run = await desk.start(actor, ChatRequest("Why?", "d", file_urls=(address,), background=True))
    await gate.reached.wait()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, ParsedDocument) and len(one.text) == 100_000]
    gate.release()
    await run.wait()


async def test_a_question_whose_file_is_read_while_the_server_stops_is_refused(desk: ChatDesk) -> None:
    actor = await desk.person()
    desk.parser.gate = asyncio.Event()
    address = await stored(desk.transactions, desk.storage, actor, b"slow")
    asking = asyncio.create_task(ask(desk, actor, "Read", address))
    while not desk.parser.reading:
        await asyncio.sleep(0)
    await desk.registry.drain(0)
    desk.parser.gate.set()
    with pytest.raises(Unavailable) as refused:
        await asking
    assert refused.value.code == "shutting_down"
    with pytest.raises(NotFound):
        await desk.history(actor)
