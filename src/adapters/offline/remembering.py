"""What a user says of themselves: learnt by rule, and told when they ask for it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.conversation.conversation import ModelRequest, UserTurn
from domain.memory.memories import likeness
from domain.memory.memory_lessons import INSTRUCTION, MOST_OPERATIONS

_LOOKED_AT: Final = 4_000
_MOST_TOLD: Final = 10
_MEMORIES: Final = re.compile(r"<memories>\n[^\n]*\n(.*?)</memories>\n\n", re.DOTALL)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])(?<!\bSt\.)(?<!\b[DM]r\.)\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_ASKING: Final = re.compile(r"[?\uff1f]\s*$|什么|谁|哪|吗|几岁|多少")
_VALUE: Final = (
    r"(?P<value>[^,;:!?\n\uff0c\uff1b\uff1a]{1,80}?)(?=\s+(?:and|but|because|so|now|anymore|any more)\b|[,;:!?\n]|\s*$)"
)
_HAN: Final = r"(?P<value>[^\s,;:!\uff0c\uff1b\uff1a\u3001]{1,40}?)(?=[\s,;:!\uff0c\uff1b\uff1a\u3001]|但|而且|$)"
_NOTHING: Final = re.compile(
    r"(?:it|this|that|them|these|those|you|your|him|her|what|how|when|if)\b|[这那它你他她]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """`said` has the group `value`. Of what is `only` one, another takes its place; what `against` says contradicts."""

    said: str
    memory: str
    asked: str = ""
    only: bool = False
    against: str = ""

    @property
    def begins(self) -> str:
        return self.memory.partition("{")[0]


_RULES: Final[Mapping[str, _Rule]] = {
    "name": _Rule(
        rf"\b(?:my name is|my name's|i am called|(?:please )?call me) {_VALUE}",
        "The user's name is {value}.",
        r"\bmy name\b|\bwho am i\b|\bcall me\b|我叫|我的名字|我是谁",
        only=True,
    ),
    "home": _Rule(
        rf"\bi(?:'ve| have| now| am| just)? (?:live in|living in|moved to) {_VALUE}",
        "The user lives in {value}.",
        r"\bwhere (?:do|am) i liv|\bi live\b|\bmy (?:home|city|town)\b|我住|我家",
        only=True,
    ),
    "origin": _Rule(
        rf"\bi(?:'m| am| come) from {_VALUE}", "The user is from {value}.", r"\bi(?: come)? from\b|我来自", only=True
    ),
    "age": _Rule(
        r"\bi(?:'m| am) (?P<value>\d{1,3})(?: years old)", "The user is {value} years old.", r"\bold am i\b", only=True
    ),
    "birthday": _Rule(rf"\bmy birthday is {_VALUE}", "The user's birthday is {value}.", r"\bmy birthday\b", only=True),
    "trade": _Rule(rf"\bi work as {_VALUE}", "The user works as {value}.", r"\bi work\b", only=True),
    "work": _Rule(rf"\bi work (?:at|for) {_VALUE}", "The user works for {value}.", r"\bi work\b", only=True),
    "allergy": _Rule(rf"\bi(?:'m| am) allergic to {_VALUE}", "The user is allergic to {value}.", r"\ballergi"),
    "likes": _Rule(
        rf"\bi (?:really |also |still )?(?:like|love|enjoy|prefer) {_VALUE}",
        "The user likes {value}.",
        r"\bi (?:like|love|enjoy|prefer)\b|我喜欢|我爱",
        against="dislikes",
    ),
    "dislikes": _Rule(
        rf"\bi (?:do not like|don't like|no longer like|dislike|hate|can't stand) {_VALUE}",
        "The user does not like {value}.",
        r"\bi (?:not like|dislike|hate)\b|我不喜欢|我讨厌",
        against="likes",
    ),
    "wanted": _Rule(
        r"\b(?:always|from now on,?) (?:answer|reply|respond|write|speak)(?: to me)?(?: me)? in (?P<value>\w{2,20})",
        "The user wants answers in {value}.",
        only=True,
    ),
    "名字": _Rule(
        rf"(?:我叫|我的名字是|我的名字叫|叫我){_HAN}", "用户的名字叫{value}。", r"我叫|我的名字|我是谁", only=True
    ),
    "住处": _Rule(rf"我(?:现在)?(?:住在|居住在|搬到了?){_HAN}", "用户住在{value}。", r"我住|我家", only=True),
    "来自": _Rule(rf"我来自{_HAN}", "用户来自{value}。", r"我来自", only=True),
    "年龄": _Rule(
        r"我(?:今年)?(?P<value>\d{1,3})岁", "用户的年龄是{value}岁。", r"我(?:今年)?(?:几|多少)岁|我多大", only=True
    ),
    "生日": _Rule(rf"我的生日是{_HAN}", "用户的生日是{value}。", r"我的?生日", only=True),
    "过敏": _Rule(r"我对(?P<value>[^\s,，。]{1,20}?)过敏", "用户对{value}过敏。", r"过敏"),
    "喜欢": _Rule(rf"我(?:很|非常|最|也)?(?:喜欢|爱){_HAN}", "用户喜欢{value}。", r"我喜欢|我爱", against="不喜欢"),
    "不喜欢": _Rule(rf"我(?:不喜欢|不再喜欢|讨厌){_HAN}", "用户不喜欢{value}。", r"我不喜欢|我讨厌", against="喜欢"),
}
_SAID: Final = {name: re.compile(rule.said, re.IGNORECASE) for name, rule in _RULES.items()}
_ABOUT_ME: Final = re.compile(r"\b(?:know|remember)\b.{0,20}\bme\b|记得我|了解我|知道我|关于我", re.IGNORECASE)


def memories_in(text: str) -> tuple[list[str], str]:
    """What stands before a question, and what stands after it."""
    found = _MEMORIES.match(text)
    if found is None:
        return [], text
    return [line.removeprefix("- ") for line in found[1].splitlines()], text[found.end() :]


def told_of_user(question: str, memories: Sequence[str]) -> list[str]:
    """The memories that a question about oneself asks for."""
    question = question[:_LOOKED_AT].replace("\u2019", "'")
    if _ABOUT_ME.search(question):
        return list(memories[:_MOST_TOLD])
    asked = [rule for rule in _RULES.values() if rule.asked and re.search(rule.asked, question, re.IGNORECASE)]
    begins = tuple(rule.begins for rule in asked)
    return [one for one in memories if begins and one.startswith(begins)][:_MOST_TOLD]


def learnt_by_rule(request: ModelRequest) -> str | None:
    """The answer to a lesson; None for another request."""
    last = request.turns[0]
    if not request.system.startswith(INSTRUCTION) or not isinstance(last, UserTurn):
        return None
    given = json.loads(last.text)
    notes = {one["number"]: one["text"] for one in given["notes"]}
    operations: dict[str, dict[str, Any]] = {}
    for one in given["said"]:
        for name, memory, quote in _statements(one["text"]):
            key = name if _RULES[name].only else memory
            operations.pop(key, None)
            operations[key] = _operation(_RULES[name], memory, quote, notes)
    return json.dumps({"operations": [*operations.values()][:MOST_OPERATIONS]}, ensure_ascii=False)


def _statements(text: str) -> Iterator[tuple[str, str, str]]:
    """Rule, memory, and the words that say it. What is asked is no statement."""
    for sentence in _SENTENCE_END.split(text[:_LOOKED_AT].replace("\u2019", "'")):
        if _ASKING.search(sentence):
            continue
        stated = sentence.rstrip(" .!\u3002\uff01")
        for name, said in _SAID.items():
            for found in said.finditer(stated):
                value = found["value"].strip()
                if value and not _NOTHING.match(value):
                    yield name, _RULES[name].memory.format(value=value), found[0]


def _operation(rule: _Rule, memory: str, quote: str, notes: Mapping[int, str]) -> dict[str, Any]:
    same = [number for number, text in notes.items() if likeness(text) == likeness(memory)]
    if same:
        return {"op": "repeat", "notes": same, "quote": quote}
    instead = [number for number, text in notes.items() if rule.only and text.startswith(rule.begins)]
    if rule.against:
        opposite = _RULES[rule.against]
        value = memory.removeprefix(rule.begins)
        instead += [number for number, text in notes.items() if text == f"{opposite.begins}{value}"]
    if instead:
        return {"op": "replace", "notes": instead, "text": memory, "quote": quote}
    return {"op": "add", "text": memory, "quote": quote}
