"""Conversations for properties: any that the port allows."""

import json

from hypothesis import strategies as st

from domain.conversation.conversation import AssistantTurn, Image, ModelRequest, ToolImage, ToolTurn, Turn, UserTurn
from domain.ids import ToolId
from domain.tools.tools import ToolCall, ToolResult, ToolSpec

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
said = texts.filter(str.strip)
# Not from_regex: to draw a name by an expression takes twenty times as long.
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
arguments = st.dictionaries(names, st.one_of(texts, st.integers(-999, 999), st.booleans()), max_size=3).map(json.dumps)
images = st.builds(Image, st.sampled_from(["image/png", "image/jpeg"]), st.binary(min_size=1, max_size=20))
specs = st.builds(
    lambda name, about: ToolSpec(ToolId(name), name, name, about, {"type": "object", "properties": {}}), names, texts
)
user_turns = st.builds(UserTurn, said, st.lists(images, max_size=2).map(tuple))


@st.composite
def tool_rounds(draw: st.DrawFn) -> list[Turn]:
    calls = tuple(ToolCall(f"id{number}", draw(names), draw(arguments)) for number in range(draw(st.integers(1, 3))))
    results = tuple(ToolResult(call.call_id, call.name, draw(texts), draw(st.booleans())) for call in calls)
    shown = tuple(
        ToolImage(call.call_id, number, image)
        for call in calls
        for number, image in enumerate(draw(st.lists(images, max_size=2)), 1)
    )
    return [AssistantTurn(draw(texts), calls), ToolTurn(results, shown)]


@st.composite
def requests(draw: st.DrawFn, exchanges: int = 3) -> ModelRequest:
    """With so many exchanges at most before the question."""
    turns: list[Turn] = []
    for _ in range(draw(st.integers(0, exchanges))):
        turns.append(draw(user_turns))
        for _ in range(draw(st.integers(0, 2))):
            turns.extend(draw(tool_rounds()))
        turns.append(AssistantTurn(draw(said)))
    turns.append(draw(user_turns))
    if draw(st.booleans()):
        turns.extend(draw(tool_rounds()))
    return ModelRequest(
        draw(names),
        draw(texts),
        tuple(turns),
        tuple(draw(st.lists(specs, max_size=3))),
        draw(st.none() | st.integers(1, 9999)),
    )
