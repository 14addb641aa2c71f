"""Questions of programs that keep their conversations themselves: runs like every other, in dialogs of the person's."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import Hold, ScriptedChatModel, Step, call, delta, finished, hold
from application.chat.callers_prompt import RestoreRounds
from application.chat.chat import ChatLimits
from application.paging import Window
from application.programs.compatible import AskCompatibly, CompatibleRequest, FindNamedAgent
from application.runs.after_answers import AnswerKept
from asked_statements import asked_statements
from chat_desk import ChatDesk, read, text_of
from domain.chat.callers import CallersTools, OfferedTool, handed_id
from domain.chat.chat_events import Recorded, RunFinished, ToolProgress
from domain.chat.told_messages import Message, Role, continued, conversation_of, telling_of
from domain.chat.told_waits import waiting_sentence
from domain.conversation.conversation import AssistantTurn, FinishReason, ToolTurn, UserTurn
from domain.conversation.tool_choice import ChoiceKind, ToolChoice
from domain.dialogs.messages import Answer, StepStatus
from domain.errors import Conflict, InvalidValue, NotFound, TooLarge
from domain.ids import AgentId, MessageId, UserId
from domain.runs.pauses import HELD_BACK
from domain.runs.runs import RunStatus
from domain.tools.tools import ToolCall
from patience import PATIENCE
from paying import ASKS, DONE, Scene, ended, paying, yes

WEATHER = OfferedTool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})
AUTO = ToolChoice()
ASKS_WEATHER = [delta("Let me see. "), call("weather", call_id="v", city="Paris"), finished()]
RAIN = [delta("It rains."), finished()]


@pytest.fixture
async def scene(transactions: DatabaseTransactions) -> AsyncIterator[Scene]:
    async with paying(transactions) as made:
        yield made


def user(text: str) -> Message:
    return Message(Role.USER, text)


def said(text: str, *calls: ToolCall) -> Message:
    return Message(Role.AGENT, text, calls=calls)


def asked(
    *messages: Message, tools: Sequence[OfferedTool] = (WEATHER,), choice: ToolChoice = AUTO, **more: Any
) -> CompatibleRequest:
    placed = CallersTools.of(tools, choice, one_at_a_time=more.pop("one_at_a_time", False))
    given = (telling_of(messages), placed, conversation_of(messages), continued(messages), repr((messages, more)))
    return CompatibleRequest("agent/Payer", *given, **more)


def asking(desk: ChatDesk) -> AskCompatibly:
    found, restore = FindNamedAgent(desk.transactions), RestoreRounds(desk.transactions)
    return AskCompatibly(found, restore, desk.once, desk.transactions, ChatLimits(100, 0))


async def answered(desk: ChatDesk, actor: UserId, request: CompatibleRequest) -> list[Recorded]:
    return await read(await asking(desk)(actor, request, None))


def handed(seen: Sequence[Recorded]) -> list[ToolCall]:
    """The calls that the caller is given."""
    done = seen[-1].event
    assert isinstance(done, RunFinished)
    steps = [one.event.step for one in seen if isinstance(one.event, ToolProgress)]
    given = [one for one in steps if one.status is StepStatus.HANDED]
    assert bool(given) == (done.finish_reason is FinishReason.TOOL_CALLS)
    return [
        ToolCall(handed_id(done.message_id, number), one.tool_name, one.arguments or "")
        for number, one in enumerate(given)
    ]


def home(seen: Sequence[Recorded]) -> str:
    done = seen[-1].event
    assert isinstance(done, RunFinished)
    return done.dialog_id


async def test_a_turn_that_calls_both_makes_the_agent_s_calls_and_hands_out_the_caller_s(scene: Scene) -> None:
    both = [delta("Let me see. "), call("look", call_id="o"), call("weather", call_id="v", city="Paris"), finished()]
    desk = scene.process(both, RAIN)
    actor, _ = await scene.person()
    first = await answered(desk, actor, asked(user("Rain?")))
    (made,) = handed(first)
    assert (made.name, json.loads(made.arguments)) == ("weather", {"city": "Paris"})
    assert scene.look.asked == [{}]
    result = Message(Role.TOOL, "rain", call_id=made.call_id)
    second = await answered(desk, actor, asked(user("Rain?"), said("Let me see. ", made), result))
    assert text_of(second) == "It rains."
    question, own, own_result, theirs, their_result = desk.model.requests[-1].turns
    assert question == UserTurn("Rain?")
    assert isinstance(own, AssistantTurn)
    assert isinstance(theirs, AssistantTurn)
    assert isinstance(own_result, ToolTurn)
    assert isinstance(their_result, ToolTurn)
    assert (own.text, [one.name for one in own.tool_calls]) == ("Let me see. ", ["look"])
    assert [one.content for one in own_result.results] == ["spent None"]
    assert (theirs.text, [one.name for one in theirs.tool_calls]) == ("", ["weather"])
    assert [one.content for one in their_result.results] == ["rain"]


async def test_what_was_called_before_comes_back_round_after_round(scene: Scene) -> None:
    look = [call("look", call_id="o"), finished()]
    desk = scene.process(look, ASKS_WEATHER, look, ASKS_WEATHER, RAIN)
    actor, _ = await scene.person()
    messages = [user("Rain?")]
    for _ in range(2):
        seen = await answered(desk, actor, asked(*messages))
        (made,) = handed(seen)
        messages += [said(text_of(seen), made), Message(Role.TOOL, "rain", call_id=made.call_id)]
    assert text_of(await answered(desk, actor, asked(*messages))) == "It rains."
    names = [
        one.name for turn in desk.model.requests[-1].turns if isinstance(turn, AssistantTurn) for one in turn.tool_calls
    ]
    assert names == ["look", "weather", "look", "weather"]
    async with scene.transactions.autocommit() as tx:
        (dialog,) = await tx.dialogs.list(Window(), owner=actor)
    history = await desk.history(actor, dialog.dialog_id)
    assert [one.content for one in history] == [
        "Rain?", "Let me see. ", "[results of weather]", "Let me see. ", "[results of weather]", "It rains.",
    ]  # fmt: skip
    rounds = [one.rounds for one in history if isinstance(one, Answer)]
    names = [[call.name for one in made for call in one.calls] for made in rounds]
    assert names == [["look"], ["weather", "look"], ["weather"]]
    assert [result.content for result in rounds[2][0].results] == ["rain"]


async def test_results_of_calls_that_nobody_here_made_are_taken_as_told(scene: Scene) -> None:
    desk = scene.process(RAIN, RAIN)
    actor, _ = await scene.person()
    for call_id in ("call_of another's!", handed_id(MessageId("0" * 26), 0)):
        made = ToolCall(call_id, "weather", "not json")
        request = asked(user("Rain?"), said("", made), Message(Role.TOOL, "rain", call_id=call_id))
        assert text_of(await answered(desk, actor, request)) == "It rains."
        ids = [one.call_id for one in desk.model.requests[-1].turns[1].tool_calls]  # type: ignore[union-attr]
        assert all(one.isascii() and " " not in one and len(one) <= 40 for one in ids)


async def test_another_s_answer_gives_nothing_back(scene: Scene) -> None:
    both = [call("look", call_id="o"), call("weather", call_id="v"), finished()]
    desk = scene.process(both, RAIN)
    actor, _ = await scene.person()
    (made,) = handed(await answered(desk, actor, asked(user("Rain?"))))
    thief, _ = await scene.person()
    request = asked(user("Rain?"), said("", made), Message(Role.TOOL, "rain", call_id=made.call_id))
    await answered(desk, thief, request)
    assert len(desk.model.requests[-1].turns) == 3


async def test_a_call_that_waits_for_a_person_keeps_the_caller_s_back(scene: Scene) -> None:
    both = [call("spend", call_id="c1", amount=5), call("weather", call_id="v"), finished()]
    desk = scene.process(both, ASKS_WEATHER, DONE)
    actor, _ = await scene.person()
    run = await asking(desk)(actor, asked(user("Pay and tell")), None)
    async with asyncio.timeout(PATIENCE):
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.02)
    await desk.approve(actor, run.state.run_id, yes())
    seen = await ended(desk, actor, run.state.run_id)
    assert text_of(seen) == "Let me see. Paid."
    assert handed(seen) == []
    results = [one for turn in desk.model.requests[-1].turns if isinstance(turn, ToolTurn) for one in turn.results]
    assert [one.content for one in results[:2]] == ["spent 5", HELD_BACK]
    # Whoever asked is gone by then: their tools are nobody's.
    assert [(one.name, one.is_error) for one in results[2:]] == [("weather", True)]


async def test_what_became_of_an_answer_that_waited_is_told_with_the_next_question(scene: Scene) -> None:
    desk = scene.process(ASKS, DONE, [delta("Yes, 5."), finished()])
    actor, _ = await scene.person()
    run = await asking(desk)(actor, asked(user("Pay the bill")), None)
    async with asyncio.timeout(PATIENCE):
        while (await desk.show(actor, run.state.run_id)).status is not RunStatus.WAITING:
            await asyncio.sleep(0.02)
    told = [user("Pay the bill"), said(f"Let me pay. \n\n{waiting_sentence(run.state, ['spend'])}\n"), user("Did you?")]
    with pytest.raises(Conflict) as waits:
        await answered(desk, actor, asked(*told))
    assert waits.value.code == "answer_waits"
    await desk.approve(actor, run.state.run_id, yes())
    await ended(desk, actor, run.state.run_id)
    seen = await answered(desk, actor, asked(*told))
    assert (text_of(seen), home(seen)) == ("Yes, 5.", run.state.dialog_id)
    _, pays, paid, done, question = desk.model.requests[-1].turns
    assert isinstance(pays, AssistantTurn)
    assert isinstance(paid, ToolTurn)
    assert (pays.text, [one.name for one in pays.tool_calls]) == ("Let me pay. ", ["spend"])
    assert [one.content for one in paid.results] == ["spent 5"]
    assert (done, question) == (AssistantTurn("Paid."), UserTurn("Did you?"))
    # Another's answer is no more than what is told of it.
    thief, _ = await scene.person()
    stranger = scene.process(RAIN)
    await answered(stranger, thief, asked(*told))
    assert all(not isinstance(turn, ToolTurn) for turn in stranger.model.requests[-1].turns)


async def test_a_caller_s_tool_with_a_name_of_the_agent_s_goes_by_another_and_comes_back_by_its_own(
    scene: Scene,
) -> None:
    desk = scene.process([call("look_2", call_id="v", city="x"), finished()], RAIN)
    actor, _ = await scene.person()
    (made,) = handed(await answered(desk, actor, asked(user("q"), tools=[OfferedTool("look")])))
    assert made.name == "look"
    assert scene.look.asked == []
    assert [one.name for one in desk.model.requests[0].tools] == ["spend", "look", "look_2"]
    request = asked(
        user("q"), said("", made), Message(Role.TOOL, "r", call_id=made.call_id), tools=[OfferedTool("look")]
    )
    await answered(desk, actor, request)
    turn = desk.model.requests[-1].turns[1]
    assert isinstance(turn, AssistantTurn)
    assert [one.name for one in turn.tool_calls] == ["look_2"]


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        (AUTO, ["spend", "look", "weather"]),
        (ToolChoice(ChoiceKind.NONE), ["spend", "look"]),
        (ToolChoice(ChoiceKind.REQUIRED), ["weather"]),
        (ToolChoice(ChoiceKind.NAMED, "weather"), ["weather"]),
    ],
)
async def test_the_choice_says_which_tools_the_model_sees(scene: Scene, choice: ToolChoice, offered: list[str]) -> None:
    desk = scene.process(RAIN)
    actor, _ = await scene.person()
    await answered(desk, actor, asked(user("q"), choice=choice))
    request = desk.model.requests[0]
    assert [one.name for one in request.tools] == offered
    assert request.tool_choice == (AUTO if choice.kind is ChoiceKind.NONE else choice)


async def test_of_several_calls_who_wants_one_gets_the_first(scene: Scene) -> None:
    turn: list[Step] = [call("weather", call_id=one, city=one) for one in "abc"]
    desk = scene.process([*turn, finished()], [*turn, finished()])
    actor, _ = await scene.person()
    (made,) = handed(await answered(desk, actor, asked(user("q"), one_at_a_time=True)))
    assert json.loads(made.arguments) == {"city": "a"}
    all_of_them = handed(await answered(desk, actor, asked(user("q"))))
    assert [json.loads(one.arguments)["city"] for one in all_of_them] == ["a", "b", "c"]


async def test_what_only_passes_leaves_no_dialog_and_teaches_nothing(scene: Scene) -> None:
    waits: Hold = hold()
    desk = scene.process([delta("Hi"), finished()], [waits, delta("A title"), finished()], RAIN)
    heard: list[AnswerKept] = []

    async def follower(kept: AnswerKept) -> None:
        heard.append(kept)

    desk.followers.append(follower)
    actor, _ = await scene.person()
    first = await answered(desk, actor, asked(user("hi")))
    goes_on = [user("hi"), said("Hi"), user("Make a title")]
    run = await asking(desk)(actor, asked(*goes_on, passing=True), None)
    await waits.reached.wait()
    assert run.state.dialog_id != home(first)
    waits.release()
    assert text_of(await read(run)) == "A title"
    async with scene.transactions.autocommit() as tx:
        assert [one.dialog_id for one in await tx.dialogs.list(Window(), owner=actor)] == [home(first)]
    # The conversation itself is where it was.
    assert home(await answered(desk, actor, asked(*goes_on))) == home(first)
    await desk.registry.drain(5)
    assert {one.run.dialog_id for one in heard} == {home(first)}


async def test_two_that_go_on_with_one_conversation_at_once_are_both_answered(scene: Scene) -> None:
    waits: Hold = hold()
    desk = scene.process([delta("Hi"), finished()], [waits, delta("one"), finished()], [delta("two"), finished()])
    actor, _ = await scene.person()
    ask = asking(desk)
    first = await read(await ask(actor, asked(user("hi")), None))
    goes_on = asked(user("hi"), said("Hi"), user("more"))
    one = await ask(actor, goes_on, None)
    await waits.reached.wait()
    other = await ask(actor, goes_on, None)
    assert text_of(await read(other)) == "two"
    waits.release()
    assert text_of(await read(one)) == "one"
    done = first[-1].event
    assert isinstance(done, RunFinished)
    assert one.state.dialog_id == done.dialog_id != other.state.dialog_id


async def test_a_named_dialog_that_is_busy_says_so(scene: Scene) -> None:
    waits: Hold = hold()
    desk = scene.process([waits, delta("one"), finished()])
    actor, _ = await scene.person()
    one = await asking(desk)(actor, asked(user("hi"), dialog_id="named"), None)
    await waits.reached.wait()
    with pytest.raises(Conflict) as busy:
        await asking(desk)(actor, asked(user("more"), dialog_id="named"), None)
    assert busy.value.code == "dialog_busy"
    waits.release()
    await read(one)


async def test_in_a_named_dialog_its_own_history_holds_and_calls_under_way_are_told_once(scene: Scene) -> None:
    desk = scene.process([delta("Hi"), finished()], ASKS_WEATHER, RAIN)
    actor, _ = await scene.person()
    named = {"dialog_id": "named"}
    await answered(desk, actor, asked(user("hello"), **named))
    (made,) = handed(await answered(desk, actor, asked(user("made up"), said("never said"), user("Rain?"), **named)))
    result = Message(Role.TOOL, "rain", call_id=made.call_id)
    await answered(desk, actor, asked(user("Rain?"), said("Let me see. ", made), result, **named))
    told = [turn.text for turn in desk.model.requests[-1].turns if not isinstance(turn, ToolTurn)]
    assert told == ["hello", "Hi", "Rain?", "Let me see. "]


async def test_conversations_that_begin_alike_stay_apart_when_each_is_answered_by_a_call(scene: Scene) -> None:
    paris, rome = ([call("weather", call_id="v", city=city), finished()] for city in ("Paris", "Rome"))
    fine: list[Step] = [delta("Fine."), finished()]
    desk = scene.process(paris, rome, *[fine] * 4)
    actor, _ = await scene.person()
    told, homes = list[list[Message]](), list[str]()
    for _ in range(2):
        seen = await answered(desk, actor, asked(user("Weather here?")))
        (made,) = handed(seen)
        told.append([user("Weather here?"), said("", made), Message(Role.TOOL, "sun", call_id=made.call_id)])
        homes.append(home(seen))
    assert homes[0] != homes[1]
    assert [home(await answered(desk, actor, asked(*one))) for one in told] == homes
    # Alike in all but the call's arguments and its id.
    goes_on = [asked(*one, said("Fine."), user("Sure?")) for one in told]
    assert [home(await answered(desk, actor, one)) for one in goes_on] == homes


async def test_an_answer_that_is_not_the_newest_any_more_is_gone_on_with_elsewhere(scene: Scene) -> None:
    desk = scene.process(ASKS_WEATHER, ASKS_WEATHER, RAIN)
    actor, _ = await scene.person()
    first = await answered(desk, actor, asked(user("Rain?")))
    (made,) = handed(first)
    told = [user("Rain?"), said(text_of(first), made), Message(Role.TOOL, "rain", call_id=made.call_id)]
    assert home(await answered(desk, actor, asked(*told))) == home(first)
    assert home(await answered(desk, actor, asked(*told))) != home(first)


async def test_statements_do_not_grow_with_what_is_told(scene: Scene) -> None:
    # The model says nothing before they are counted: its run has statements of its own.
    waits = [hold() for _ in range(3)]
    desk = scene.process(*[[one, *RAIN] for one in waits])
    actor, _ = await scene.person()
    counts = []
    with asked_statements() as statements:
        for exchanges, silence in zip((1, 1, 500), waits, strict=True):
            past = [one for _ in range(exchanges) for one in (user("q"), said("a"))]
            statements.clear()
            run = await asking(desk)(actor, asked(*past, user("Rain?")), None)
            counts.append(len(statements))
            silence.release()
            await read(run)
    # SQLite opens a run in three statements.
    assert counts in ([5] * 3, [7] * 3)


async def test_an_agent_that_is_not_the_person_s_is_no_model(scene: Scene) -> None:
    desk = scene.process(RAIN)
    _, agent_id = await scene.person()
    stranger = await desk.person()
    for model in (agent_id, "agent/Payer", "Payer"):
        with pytest.raises(NotFound):
            await FindNamedAgent(desk.transactions)(stranger, model)
    default = await FindNamedAgent(desk.transactions)(stranger, "default")
    assert default.agent_id == AgentId("default")


async def test_a_question_that_is_too_long_is_refused_with_its_place(scene: Scene) -> None:
    desk = scene.process(RAIN)
    actor, _ = await scene.person()
    with pytest.raises(TooLarge):
        await asking(desk)(actor, asked(Message(Role.USER, "x" * 101, place="messages[0]")), None)


async def test_the_answer_s_own_steps_stay_its_own(scene: Scene) -> None:
    desk = scene.process([call("look", call_id="o"), finished()], ASKS_WEATHER)
    actor, _ = await scene.person()
    seen = await answered(desk, actor, asked(user("Rain?")))
    done = seen[-1].event
    assert isinstance(done, RunFinished)
    _, answer = await desk.history(actor, done.dialog_id)
    assert isinstance(answer, Answer)
    assert [one.status for one in answer.steps] == [StepStatus.START, StepStatus.END, StepStatus.HANDED]
    assert [call.name for one in answer.rounds for call in one.calls] == ["look"]
    assert answer.finish_reason == FinishReason.TOOL_CALLS


async def test_a_model_without_tools_refuses_those_of_the_caller(transactions: DatabaseTransactions) -> None:
    desk = ChatDesk(transactions, ScriptedChatModel(), spec=replace(ChatDesk.spec, tools=False))
    actor = await desk.person()
    with pytest.raises(InvalidValue, match="uses no tools"):
        await answered(desk, actor, replace(asked(user("q")), model="default"))
