"""Files that come with a question, on both databases: whose they are, what the model gets of them, what is kept."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, call, delta, finished
from asked_files import ask, said, with_window
from chat_desk import ChatDesk
from domain.conversation.conversation import Image, UserTurn
from domain.dialogs.messages import Answer, AnswerStatus, Question
from domain.errors import InvalidValue, ModelError, NotFound, TooLarge
from domain.files.attachments import MOST_IN_QUESTION
from domain.files.files import FileKind
from file_desk import SERVER, MemoryFiles, file_of, stored


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> ChatDesk:
    return ChatDesk(transactions, ScriptedChatModel([delta("So it is."), finished()], repeat=True))


async def test_a_document_stands_before_the_question_and_is_kept_with_it(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"The turbine is from 1987.\fSecond.", "report.pdf")
    request = await ask(desk, actor, "How old is it?", address)
    assert said(request).endswith("How old is it?")
    assert "[page 1]\nThe turbine is from 1987." in said(request)
    question, _ = await desk.history(actor)
    assert isinstance(question, Question)
    assert question.content == "How old is it?"
    assert [(one.name, one.kind, one.size) for one in question.attachments] == [("report.pdf", FileKind.TEXT, 33)]


async def test_a_question_without_files_asks_no_more_of_the_database(desk: ChatDesk, statements: list[str]) -> None:
    actor = await desk.person()
    statements.clear()
    await ask(desk, actor, "Why?")
    assert not any("files" in statement or "readings" in statement for statement in statements)


async def test_files_cost_the_same_number_of_statements_however_many(desk: ChatDesk, statements: list[str]) -> None:
    actor = await desk.person()
    addresses = [await stored(desk.transactions, desk.storage, actor, b"%d" % number) for number in range(8)]
    await ask(desk, actor, "Read them", *addresses, dialog="before")
    counts = []
    for dialog, some in (("one", addresses[:1]), ("eight", addresses)):
        statements.clear()
        await ask(desk, actor, "Why?", *some, dialog=dialog)
        counts.append(sum("FROM files" in statement for statement in statements))
    assert counts == [1, 1]


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "http://server.test/memory/..%2f..%2fetc",
        "http://server.test/memory/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "not an address",
        "\x00",
        " ",
    ],
)
async def test_any_other_address_is_refused_before_anything_is_stored(desk: ChatDesk, address: str) -> None:
    actor = await desk.person()
    with pytest.raises(InvalidValue) as refused:
        await ask(desk, actor, "Read", address)
    assert refused.value.code == "file_url_refused"
    with pytest.raises(NotFound):
        await desk.history(actor)


async def test_another_users_file_and_a_removed_one_look_like_no_file(desk: ChatDesk) -> None:
    owner, other = await desk.person(), await desk.person()
    address = await stored(desk.transactions, desk.storage, owner, b"secret")
    removed = await stored(desk.transactions, desk.storage, other, b"gone")
    file_id = desk.storage.file_of(removed)
    assert file_id is not None
    async with desk.transactions.autocommit() as tx:
        await tx.files.remove(file_id, desk.clock.now(), owner=other)
    messages = set()
    for refused_address in (address, removed, f"{SERVER}/memory/01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        with pytest.raises(InvalidValue) as refused:
            await ask(desk, other, "Read", refused_address)
        messages.add((refused.value.code, refused.value.message))
    assert len(messages) == 1
    assert desk.storage.reads == 0


async def test_too_many_files_are_refused_and_one_sent_twice_counts_once(desk: ChatDesk) -> None:
    actor = await desk.person()
    some = [await stored(desk.transactions, desk.storage, actor, b"%d" % n) for n in range(MOST_IN_QUESTION + 1)]
    with pytest.raises(InvalidValue, match=str(MOST_IN_QUESTION)):
        await ask(desk, actor, "Read", *some)
    await ask(desk, actor, "Read", *some[:1] * 30)
    question, _ = await desk.history(actor)
    assert isinstance(question, Question)
    assert len(question.attachments) == 1


async def test_later_questions_of_the_dialog_still_have_the_document(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"The turbine is from 1987.", "report.pdf")
    await ask(desk, actor, "Read this", address)
    request = await ask(desk, actor, "And how old is it?")
    assert "The turbine is from 1987." in said(request)
    assert request.turns[0] == UserTurn("[attached: report.pdf]\n\nRead this")
    assert "1987" not in said(await ask(desk, actor, "How old?", dialog="another"))


async def test_a_document_that_was_removed_is_only_named_later(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"The turbine is from 1987.", "report.pdf")
    await ask(desk, actor, "Read this", address)
    file_id = desk.storage.file_of(address)
    assert file_id is not None
    async with desk.transactions.autocommit() as tx:
        await tx.files.remove(file_id, desk.clock.now(), owner=actor)
    request = await ask(desk, actor, "How old?")
    assert said(request) == "How old?"
    assert request.turns[0] == UserTurn("[attached: report.pdf]\n\nRead this")


async def test_images_go_to_a_model_that_sees_also_with_later_questions(desk: ChatDesk) -> None:
    seeing = with_window(desk, 100_000, vision=True)
    actor = await seeing.person()
    address = await stored(seeing.transactions, seeing.storage, actor, b"pixels", "a.png", FileKind.PNG)
    for question, addresses in (("What is it?", [address]), ("And its colour?", [])):
        last = (await ask(seeing, actor, question, *addresses)).turns[-1]
        assert isinstance(last, UserTurn)
        assert last.images == (Image("image/png", b"pixels"),)


async def test_a_model_that_does_not_see_is_not_asked(desk: ChatDesk) -> None:
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, b"pixels", "cat.png", FileKind.PNG)
    with pytest.raises(ModelError, match=r"can't see images such as cat\.png") as refused:
        await ask(desk, actor, "What is it?", address)
    assert refused.value.code == "model_no_vision"
    with pytest.raises(NotFound):
        await desk.history(actor)
    assert desk.storage.reads == 0


async def test_the_model_searches_what_did_not_fit(transactions: DatabaseTransactions) -> None:
    filler = "Nothing of interest is said here.\n" * 3000
    text = f"{filler}The treasure is buried at Blackwater.\n{filler}".encode()
    turns = [[call("search_attachment", query="treasure buried"), finished()], [delta("At Blackwater."), finished()]]
    desk = with_window(ChatDesk(transactions, ScriptedChatModel(turns=turns)), 8000)
    actor = await desk.person()
    address = await stored(desk.transactions, desk.storage, actor, text, "map.txt")
    await ask(desk, actor, "Where is the treasure?", address)
    first, second = desk.model.requests
    assert "Blackwater" not in said(first)
    assert "search_attachment" in [tool.name for tool in first.tools]
    assert "Blackwater" in str(second.turns[-1])
    _, answer = await desk.history(actor)
    assert isinstance(answer, Answer)
    assert answer.status is AnswerStatus.COMPLETE
    assert [step.tool_name for step in answer.steps] == ["search_attachment"] * 2


async def test_images_are_bounded_in_bytes_of_earlier_questions_too(
    desk: ChatDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.chat.attachments.MOST_IMAGE_BYTES", 1000)
    seeing = with_window(desk, 1_000_000, vision=True)
    actor = await seeing.person()

    async def image(size: int) -> str:
        return await stored(seeing.transactions, seeing.storage, actor, b"x" * size, "a.png", FileKind.PNG)

    for number in range(6):
        await ask(seeing, actor, f"{number}?", await image(300))
    last = (await ask(seeing, actor, "And this?", await image(500))).turns[-1]
    assert isinstance(last, UserTurn)
    assert [len(one.data) for one in last.images] == [500, 300]
    with pytest.raises(TooLarge):
        await ask(seeing, actor, "All?", await image(600), await image(401))


async def test_a_question_whose_images_have_no_room_is_refused_before_it_is_stored(desk: ChatDesk) -> None:
    small = with_window(desk, 2000, vision=True)
    actor = await small.person()
    some = [await stored(small.transactions, small.storage, actor, b"%d" % n, "a.png", FileKind.PNG) for n in range(3)]
    with pytest.raises(ModelError) as refused:
        await ask(small, actor, "What?", *some)
    assert refused.value.code == "context_too_long"
    with pytest.raises(NotFound):
        await small.history(actor)


ACTIONS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 3), st.sampled_from(["attach", "remove", "ask"])), max_size=8
)
_dialogs = itertools.count()


@given(ACTIONS)
async def test_nobody_ever_sees_what_is_not_theirs_or_gone(
    transactions: DatabaseTransactions, actions: list[tuple[int, int, str]]
) -> None:
    """Two users, two files each: what the model is shown is always what the asker has and attached in this dialog."""
    desk = ChatDesk(transactions, ScriptedChatModel([delta("x"), finished()], repeat=True), storage=MemoryFiles())
    people = [await desk.person() for _ in range(2)]
    files = [file_of(people[number // 2], b"content-of-%d" % number) for number in range(4)]
    for file in files:
        desk.storage.contents[file.file_id] = b"content-of-%d" % files.index(file)
        async with transactions.autocommit() as tx:
            await tx.files.add(file)
    attached: dict[int, set[int]] = {0: set(), 1: set()}
    gone: set[int] = set()
    dialog = f"d{next(_dialogs)}"
    for who, number, action in actions:
        own = number // 2 == who and number not in gone
        if action == "remove" and own:
            async with transactions.autocommit() as tx:
                await tx.files.remove(files[number].file_id, desk.clock.now(), owner=people[who])
            gone.add(number)
        elif action == "attach" and not own:
            with pytest.raises(InvalidValue):
                await ask(desk, people[who], "Read", f"{SERVER}/memory/{files[number].file_id}", dialog=dialog)
        else:
            addresses = [f"{SERVER}/memory/{files[number].file_id}"] if action == "attach" else []
            attached[who] |= {number} if addresses else set()
            shown = said(await ask(desk, people[who], "Read", *addresses, dialog=dialog))
            assert {n for n in range(4) if f"content-of-{n}" in shown} == attached[who] - gone
