"""Which of the offered tools a question calls for."""

import json
import re
import unicodedata

from domain.conversation.conversation import ToolCallDelta
from domain.tools.tools import JsonValue, ToolSpec, ToolType

LONGEST_QUESTION = 1000
"""What the patterns look at: their work grows faster than the text."""

_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-"})
_SPOKEN = (
    (re.compile(r"(?<=[\d)])\s*(?:加上|加|plus)\s*(?=[\d(-])"), " + "),
    (re.compile(r"(?<=[\d)])\s*(?:减去|减|minus)\s*(?=[\d(-])"), " - "),
    (re.compile(r"(?<=[\d)])\s*(?:乘以|乘|times|multiplied by)\s*(?=[\d(-])"), " * "),
    (re.compile(r"(?<=[\d)])\s*(?:除以|divided by)\s*(?=[\d(-])"), " / "),
)
_EXPRESSION = re.compile(
    r"(?<![A-Za-z0-9_.])[-+]?\(*(?:\d+\.?\d*|\.\d+)\)*"
    r"(?:\s*(?:\*\*|//|[-+*/%^])\s*[-+]?\(*(?:\d+\.?\d*|\.\d+)\)*)+(?![A-Za-z0-9_])"
)
_DATE = re.compile(r"\b\d{2,4}([-/.])\d{1,2}\1\d{1,4}\b")
_TIME = re.compile(
    r"几点|时间|日期|今天几号|星期几|周几|what(?:'s| is|) (?:the )?(?:current )?(?:local )?(?:time|date|day)\b"
    r"|time is it|current (?:time|date)|today'?s date|what day",
    re.IGNORECASE,
)
_SEARCH = re.compile(
    r"(?:search|look(?:\s+it)?\s+up|check)\b.{0,40}\bknowledge|(?:搜索|检索|查询|查找|查)(?:一下)?.{0,10}知识库",
    re.IGNORECASE,
)
_ZONE = re.compile(r"\b(?:UTC|GMT|[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?)(?![\w/])")
_CITIES = {
    "北京|上海|中国|beijing|shanghai|china": "Asia/Shanghai",
    "香港|hong kong": "Asia/Hong_Kong",
    "台北|taipei": "Asia/Taipei",
    "东京|日本|tokyo|japan": "Asia/Tokyo",
    "新加坡|singapore": "Asia/Singapore",
    "伦敦|英国|london": "Europe/London",
    "巴黎|法国|paris": "Europe/Paris",
    "柏林|德国|berlin|germany": "Europe/Berlin",
    "纽约|new york": "America/New_York",
    "洛杉矶|旧金山|los angeles|san francisco": "America/Los_Angeles",
}


def calls_for(question: str, tools: tuple[ToolSpec, ...], *, turn: int) -> list[ToolCallDelta]:
    """In the order in which the tools are offered, at most one call of each. `turn` keeps ids apart."""
    question = question[:LONGEST_QUESTION]
    calls: list[ToolCallDelta] = []
    for tool in tools:
        arguments = _arguments(question, tool)
        if arguments is not None:
            written = json.dumps(arguments, ensure_ascii=False)
            calls.append(ToolCallDelta(len(calls), f"offline_{turn}_{len(calls)}", tool.name, written))
    return calls


def asks_for_search(question: str) -> bool:
    return _SEARCH.search(question[:LONGEST_QUESTION]) is not None


def expression_in(question: str) -> str | None:
    """The longest arithmetic expression, as plain text."""
    text = unicodedata.normalize("NFKC", question).translate(_SIGNS)
    for spoken, sign in _SPOKEN:
        text = spoken.sub(sign, text)
    found = [match[0].strip() for match in _EXPRESSION.finditer(_DATE.sub(" ", text))]
    balanced = [_balanced(expression) for expression in found]
    return max(balanced, key=len, default=None)


def time_zone_in(question: str) -> str | None:
    if match := _ZONE.search(question):
        return match[0]
    for cities, zone in _CITIES.items():
        if re.search(cities, question, re.IGNORECASE):
            return zone
    return None


def _arguments(question: str, tool: ToolSpec) -> dict[str, JsonValue] | None:
    if tool.name == "calculator":
        expression = expression_in(question)
        return None if expression is None else {"expression": expression}
    if tool.name == "current_time":
        if not _TIME.search(question):
            return None
        zone = time_zone_in(question)
        return {"timezone": zone} if zone else {}
    if tool.type is ToolType.KNOWLEDGE or tool.name == "search_attachment":
        return {"query": question}
    return None


def _balanced(expression: str) -> str:
    """Parentheses of the sentence around it are not the expression's."""
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1]
    while expression.count("(") > expression.count(")") and expression.startswith("("):
        expression = expression[1:]
    return expression.strip()
