"""What a waiting run keeps: what went in comes out, and one of another form says so."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.database.runs.pause_rows import FORM, from_pause, to_pause
from domain.agents.agents import Agent
from domain.conversation.conversation import AssistantTurn, ModelRequest, ReasoningBlock, without_tool_images
from domain.errors import Conflict, NotFound
from domain.files.files import Attachment, FileKind
from domain.ids import AgentId, FileId, KnowledgeFileId, ModelId, UserId
from domain.runs.pauses import Approval, LoopPause, RunPause
from domain.tools.tools import ToolCall, ToolResult
from unit.conversation_strategies import arguments, names, requests, texts

NOW = datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)


@st.composite
def pauses(draw: st.DrawFn) -> RunPause:
    calls = tuple(ToolCall(f"c{number}", draw(names), draw(arguments)) for number in range(draw(st.integers(1, 4))))
    waiting = draw(st.lists(st.sampled_from(calls), min_size=1, unique=True))
    results = tuple(ToolResult(one.call_id, one.name, draw(texts)) for one in calls if one not in waiting)
    reasoning = tuple(draw(st.lists(st.builds(ReasoningBlock, texts, texts, st.booleans()), max_size=2)))
    request = draw(requests(exchanges=1))
    loop = LoopPause(
        replace(request, turns=without_tool_images(request.turns)),
        AssistantTurn(draw(texts), calls, reasoning),
        results,
        tuple(waiting),
        draw(st.integers(0, 100)),
        draw(st.none() | st.integers(0, 10**6)),
        draw(st.integers(0, 128)),
        draw(st.dictionaries(names, st.integers(1, 2), max_size=3)),
        draw(st.integers(0, 2)),
    )
    agent = Agent(AgentId("a"), UserId("u"), draw(names), NOW, NOW, require_approval=("t",))
    attached = (Attachment(FileId("f"), "a.pdf", FileKind.PDF, 3),) if draw(st.booleans()) else ()
    shown = draw(st.lists(st.tuples(st.just(KnowledgeFileId("k")), st.integers(0, 9), st.integers(9, 20)), max_size=3))
    number, depth = draw(st.integers(0, 9)), draw(st.integers(0, 3))
    waits, tried = (tuple(map(ModelId, draw(st.lists(names, max_size=3)))) for _ in range(2))
    paused = RunPause(loop, ModelId("m"), agent, attached, tuple(shown), number=number, depth=depth)
    return replace(paused, models_waiting=waits, models_tried=tried)


@given(pauses(), st.data())
def test_a_pause_comes_out_as_it_went_in(pause: RunPause, data: st.DataObject) -> None:
    for call in data.draw(st.lists(st.sampled_from(pause.loop.pending), unique=True)):
        pause = pause.approve(Approval(call.call_id, data.draw(st.booleans()), data.draw(st.none() | arguments)))
    assert to_pause(from_pause(pause)) == pause


@given(pauses())
def test_unpaired_surrogates_do_not_stand_in_the_way(pause: RunPause) -> None:
    request = ModelRequest("m", "\ud800 broken", pause.loop.request.turns, pause.loop.request.tools)
    loop = LoopPause(request, pause.loop.turn, pause.loop.results, pause.loop.pending, 1, None, 0, {})
    kept = to_pause(from_pause(RunPause(loop, pause.llm_id, pause.agent)))
    assert kept.loop.request.system == "? broken"
    assert kept.loop.pending == pause.loop.pending


@given(pauses(), st.integers(0, 10**6))
def test_another_form_is_refused_with_a_reason(pause: RunPause, cut: int) -> None:
    state = from_pause(pause)
    fields = msgspec.msgpack.decode(state)
    newer = msgspec.msgpack.encode([FORM + 1, *fields[1:]])
    for broken in (newer, state[: cut % len(state)]):
        with pytest.raises(Conflict) as refused:
            to_pause(broken)
        assert refused.value.code == "approval_outdated"


@given(pauses(), st.data())
def test_a_run_goes_on_when_each_waiting_call_has_one_word(pause: RunPause, data: st.DataObject) -> None:
    said: dict[str, Approval] = {}
    for _ in range(data.draw(st.integers(0, 8))):
        call = data.draw(st.sampled_from(pause.loop.pending))
        word = Approval(call.call_id, data.draw(st.booleans()))
        if said.get(call.call_id, word) == word:
            pause, said[call.call_id] = pause.approve(word), word
        else:
            with pytest.raises(Conflict):
                pause.approve(word)
        assert pause.decided == (len(said) == len(pause.loop.pending))
    with pytest.raises(NotFound):
        pause.approve(Approval("unheard of", approved=True))
    if pause.decided:
        assert [(call.call_id, may) for call, may in pause.calls()] == [
            (call.call_id, said[call.call_id].approved) for call in pause.loop.pending
        ]
