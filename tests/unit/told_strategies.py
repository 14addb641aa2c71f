"""Messages of programs that keep their conversations themselves: those that belong together, and any at all."""

from hypothesis import strategies as st

from domain.chat.told_messages import Message, Role
from domain.tools.tools import ToolCall
from unit.conversation_strategies import arguments, names, texts

ids = st.text("abc_-1é ", min_size=1, max_size=3)
calls = st.lists(st.builds(ToolCall, ids, names, arguments), max_size=3).map(tuple)
images = st.lists(st.binary(max_size=3), max_size=2).map(tuple)


def placed(messages: list[Message]) -> list[Message]:
    return [
        Message(one.role, one.text, one.images, one.calls, one.call_id, f"messages[{number}]")
        for number, one in enumerate(messages)
    ]


any_message = st.one_of(
    st.builds(Message, st.just(Role.INSTRUCTIONS), texts),
    st.builds(Message, st.just(Role.USER), texts, images),
    st.builds(Message, st.just(Role.AGENT), texts, calls=calls),
    st.builds(Message, st.just(Role.TOOL), texts, call_id=ids),
)
anything = st.lists(any_message, max_size=8).map(placed)


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    # Ids of ours, and ids of anybody's.
    mark = draw(st.sampled_from(["c", f"call_{'0' * 26}_", f"call_{'1' * 26}_"]))
    made = tuple(ToolCall(f"{mark}{number}", draw(names), draw(arguments)) for number in range(draw(st.integers(1, 3))))
    results = [Message(Role.TOOL, draw(texts), call_id=one.call_id) for one in draw(st.permutations(made))]
    return [Message(Role.AGENT, draw(texts), calls=made), *results]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """As they should be: whatever it began with, a question is last, or the results of calls after it."""
    told: list[Message] = draw(st.lists(st.builds(Message, st.just(Role.INSTRUCTIONS), texts), max_size=2))
    if draw(st.booleans()):
        told.append(Message(Role.AGENT, draw(texts)))
    for last in [False] * draw(st.integers(0, 3)) + [True]:
        questions = draw(st.lists(st.builds(Message, st.just(Role.USER), texts, images), min_size=1, max_size=2))
        told += [*questions, Message(Role.USER, "why?")] if last else questions
        for _ in range(draw(st.integers(0, 2))):
            told += draw(rounds())
        if not last:
            told += draw(st.lists(st.builds(Message, st.just(Role.AGENT), texts), min_size=1, max_size=2))
    return placed(told)
