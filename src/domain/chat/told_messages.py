"""From the messages of a conversation that its program keeps to a question, what was said before it, and results."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Final

from domain.chat.callers import answer_that_called
from domain.chat.told_waits import answer_that_waited
from domain.dialogs.messages import Exchange
from domain.errors import InvalidValue, TooLarge
from domain.ids import MessageId
from domain.tools.tools import ToolCall, ToolResult, ToolRound

MOST_MESSAGES: Final = 10_000
MOST_CHARACTERS: Final = 4_000_000
"""Of all of them: more than any model reads."""
NO_QUESTION: Final = "[no question]"
"""Stands before what an agent said unasked: vendors want a user to begin."""
NO_TEXT: Final = "[nothing]"
"""Stands for a question of the past without text: vendors refuse an empty turn."""


class Role(StrEnum):
    INSTRUCTIONS = "instructions"
    USER = "user"
    AGENT = "agent"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a program tells it. `place` is where it stands in the request."""

    role: Role
    text: str = ""
    images: tuple[bytes, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    place: str = "messages"


@dataclass(slots=True)
class _Spoken:
    """A question, the rounds of calls after it, and the text that ended them, as far as they came."""

    questions: list[Message] = field(default_factory=list)
    rounds: list[ToolRound] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def question(self) -> str:
        return "\n\n".join(one.text for one in self.questions if one.text)

    @property
    def images(self) -> tuple[bytes, ...]:
        return tuple(image for one in self.questions for image in one.images)

    def exchange(self) -> Exchange:
        said = "".join(one.text for one in self.rounds)
        question = self.question or (NO_TEXT if self.questions else NO_QUESTION)
        return Exchange(question, said + "\n\n".join(self.answers), tuple(self.rounds))


@dataclass(frozen=True, slots=True)
class Telling:
    """`asked_at` is the place of the question. `earlier_images` are the newest first."""

    question: str
    asked_at: str
    exchanges: tuple[Exchange, ...]
    rounds: tuple[ToolRound, ...]
    instructions: str
    images: tuple[bytes, ...]
    earlier_images: tuple[bytes, ...]


def telling_of(messages: Sequence[Message]) -> Telling:
    """Raises InvalidValue with the place of the message that does not belong where it is."""
    if not messages or len(messages) > MOST_MESSAGES:
        raise InvalidValue("messages", f"must be 1 to {MOST_MESSAGES:,} messages")
    if sum(len(one.text) + sum(len(call.arguments) for call in one.calls) for one in messages) > MOST_CHARACTERS:
        raise TooLarge("messages", f"must have at most {MOST_CHARACTERS:,} characters together")
    spoken = list(_spoken([one for one in messages if one.role is not Role.INSTRUCTIONS]))
    if not spoken:
        raise InvalidValue("messages", "must hold a message of the role user")
    last = spoken.pop()
    asked_at = last.questions[-1].place if last.questions else messages[-1].place
    if last.answers:
        raise InvalidValue(messages[-1].place, "must be of the role user, or tool: it is the last message")
    if not last.questions:
        raise InvalidValue(messages[-1].place, "has no message of the role user before it")
    if not last.question.strip() and not last.images:
        raise InvalidValue(asked_at, "must not be empty: it is the question")
    images = [image for one in reversed(spoken) for image in reversed(one.images)]
    return Telling(
        last.question,
        asked_at,
        tuple(one.exchange() for one in spoken),
        tuple(last.rounds),
        "\n\n".join(one.text for one in messages if one.role is Role.INSTRUCTIONS and one.text.strip()),
        last.images,
        tuple(images),
    )


def _spoken(messages: Sequence[Message]) -> Iterator[_Spoken]:
    """Each question with all that came until the next one. Several messages in a row of a person are one question."""
    current = _Spoken()
    at = 0
    while at < len(messages):
        message = messages[at]
        if message.role is Role.TOOL:
            raise InvalidValue(message.place, "is the result of no call: the message before it made none")
        if message.role is Role.AGENT and message.calls:
            results = [one for one in messages[at + 1 : at + 1 + len(message.calls)] if one.role is Role.TOOL]
            current.rounds.append(_round(message, results, "".join(current.answers)))
            current.answers.clear()
            at += len(results)
        elif message.role is Role.AGENT:
            current.answers.append(message.text)
        else:
            if current.answers or current.rounds:
                yield current
                current = _Spoken()
            current.questions.append(message)
        at += 1
    if current.questions or current.answers or current.rounds:
        yield current


def _round(message: Message, results: Sequence[Message], said: str) -> ToolRound:
    """`said` came before, in a message of its own. Results are brought into the order of their calls."""
    calls = {call.call_id: call for call in message.calls}
    if len(calls) < len(message.calls):
        raise InvalidValue(f"{message.place}.tool_calls", "two calls have the same id")
    found: dict[str, ToolResult] = {}
    for result in results:
        call = calls.get(result.call_id)
        if call is None or result.call_id in found:
            raise InvalidValue(f"{result.place}.tool_call_id", "is the id of no call that waits for its result")
        found[result.call_id] = ToolResult(call.call_id, call.name, result.text)
    missing = [call_id for call_id in calls if call_id not in found]
    if missing:
        problem = f"must be followed by a message of the role tool for each call; {missing[0][:64]!r} has none"
        raise InvalidValue(f"{message.place}.tool_calls", problem)
    return ToolRound(said + message.text, message.calls, tuple(found[call_id] for call_id in calls))


def conversation_of(messages: Sequence[Message]) -> str:
    """Names what was said. What programs change on the way does not count: instructions, images, spaces.

    Our ids of calls count: they alone tell conversations apart which differ in the arguments only.
    """
    digest = hashlib.sha256()
    spoken = [one for one in messages if one.role is not Role.INSTRUCTIONS]
    for role, same in groupby(spoken, key=lambda one: one.role):
        said = list(same)
        words = [word for one in said for word in one.text.split()]
        calls = [(call.name, answer_that_called(call.call_id)) for one in said for call in one.calls]
        digest.update(json.dumps([role, " ".join(words), calls]).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Continued:
    """`conversation_before` names the conversation as it was when its last answer was made.

    `answer` is that answer, where what it said tells which one it is: its text alone may be that of many.
    """

    conversation_before: str
    last_answer: str
    answer: MessageId | None = None


def continued(messages: Sequence[Message]) -> Continued | None:
    """None when nothing was answered yet."""
    spoken = [one for one in messages if one.role is not Role.INSTRUCTIONS]
    answered = next((at for at in range(len(spoken) - 1, -1, -1) if spoken[at].role is Role.AGENT), None)
    if answered is None:
        return None
    before = next((at for at in range(answered, -1, -1) if spoken[at].role is not Role.AGENT), None)
    if before is None:
        return None
    last = spoken[before + 1 : answered + 1]
    named = [answer_that_called(call.call_id) for one in last for call in one.calls]
    answer = next((one for one in named if one is not None), None) or answer_that_waited(last[-1].text)
    return Continued(conversation_of(spoken[: before + 1]), "".join(one.text for one in last), answer)
