"""The built-in tools: what a model gets back, whatever it writes as arguments."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports.tool_runner import ToolFailed, ToolRunner
from application.tools.builtin_tools import Calculator, CurrentTime, builtin_tools
from domain.tools.tools import JsonValue


@dataclass(frozen=True)
class StoppedClock:
    moment: datetime = datetime(2026, 11, 22, 20, 30, 15, 123456, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


CURRENT_TIME, CALCULATOR = CurrentTime(StoppedClock()), Calculator()
json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


def run(tool: ToolRunner, **arguments: JsonValue) -> str:
    return asyncio.run(tool.run(arguments)).content


@pytest.mark.parametrize("arguments", [{}, {"timezone": None}, {"timezone": ""}, {"timezone": "UTC"}])
def test_the_time_is_utc_unless_asked_otherwise(arguments: dict[str, JsonValue]) -> None:
    assert run(CURRENT_TIME, **arguments) == "2026-11-22T20:30:15+00:00, Sunday (UTC)"


def test_the_time_and_weekday_are_those_of_the_zone() -> None:
    assert run(CURRENT_TIME, timezone="Asia/Shanghai") == "2026-11-23T04:30:15+08:00, Monday (Asia/Shanghai)"


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "America", "a\0b", "x" * 5000, 8, ["UTC"]]
)
def test_what_is_no_time_zone_is_refused_with_an_example(name: JsonValue) -> None:
    with pytest.raises(ToolFailed, match="Asia/Shanghai"):
        run(CURRENT_TIME, timezone=name)


def test_the_calculator_calculates() -> None:
    assert run(CALCULATOR, expression="0.1 + 0.2") == "0.3"


def test_a_calculation_that_fails_tells_the_model_why() -> None:
    with pytest.raises(ToolFailed, match="Division by zero"):
        run(CALCULATOR, expression="1/0")


@pytest.mark.parametrize("arguments", [{}, {"expression": None}, {"expression": 5}])
def test_a_missing_expression_is_refused(arguments: dict[str, JsonValue]) -> None:
    with pytest.raises(ToolFailed, match="expression must be a text"):
        run(CALCULATOR, **arguments)


@given(json_values)
def test_any_argument_gives_text_or_toolfailed(value: JsonValue) -> None:
    for tool, name in ((CURRENT_TIME, "timezone"), (CALCULATOR, "expression")):
        with suppress(ToolFailed):
            assert run(tool, **{name: value})


def test_every_tool_says_what_it_takes() -> None:
    tools = builtin_tools(StoppedClock())
    assert [tool.spec.tool_id for tool in tools] == ["current_time", "calculator"]
    for tool in tools:
        assert tool.spec.parameters["type"] == "object"
        assert tool.spec.title
        assert tool.spec.description
