"""The tools that every server has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from application.ports.clock import Clock
from application.ports.tool_runner import ToolFailed, ToolOutput, ToolRunner
from domain.ids import ToolId
from domain.tools.calculator import MAX_LENGTH, CalculationError, evaluate
from domain.tools.tools import JsonValue, ToolSpec

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LONGEST_ZONE: Final = 100

_CURRENT_TIME: Final = ToolSpec(
    tool_id=ToolId("current_time"),
    name="current_time",
    title="当前时间 Current time",
    description="The date, time and weekday now, in any time zone.",
    parameters={
        "type": "object",
        "properties": {
            "timezone": {
                "type": "string",
                "description": "IANA name such as Asia/Shanghai or Europe/Berlin; UTC when absent.",
            }
        },
        "additionalProperties": False,
    },
)
_CALCULATOR: Final = ToolSpec(
    tool_id=ToolId("calculator"),
    name="calculator",
    title="计算器 Calculator",
    description=(
        "Exact arithmetic: + - * / // % ^ and parentheses, sqrt, abs, round, floor, ceil, min, max, ln, "
        "log(x, base) (natural without base), log10, exp, sin, cos, tan (radians), factorial, pi, e."
    ),
    parameters={
        "type": "object",
        "properties": {
            "expression": {
                "type": "string",
                "maxLength": MAX_LENGTH,
                "description": "For example (1.5 + 2) * 3^2 / sqrt(16).",
            }
        },
        "required": ["expression"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class CurrentTime:
    clock: Clock

    @property
    def spec(self) -> ToolSpec:
        return _CURRENT_TIME

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        name = arguments.get("timezone") or "UTC"
        if not isinstance(name, str) or len(name) > _LONGEST_ZONE:
            raise ToolFailed("timezone must be an IANA name such as Asia/Shanghai.")
        try:
            zone = ZoneInfo(name)
        except (LookupError, ValueError, OSError) as problem:
            raise ToolFailed(f"{name!r} is no IANA time zone; write one such as Asia/Shanghai.") from problem
        now = self.clock.now().astimezone(zone)
        return ToolOutput(f"{now.isoformat(timespec='seconds')}, {_WEEKDAYS[now.weekday()]} ({name})")


@dataclass(frozen=True, slots=True)
class Calculator:
    """Runs where it is called: an expression takes milliseconds at most."""

    @property
    def spec(self) -> ToolSpec:
        return _CALCULATOR

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        expression = arguments.get("expression")
        if not isinstance(expression, str):
            raise ToolFailed("expression must be a text such as (1 + 2) * 3.")
        try:
            return ToolOutput(evaluate(expression))
        except CalculationError as problem:
            raise ToolFailed(str(problem)) from problem


def builtin_tools(clock: Clock) -> tuple[ToolRunner, ...]:
    return CurrentTime(clock), Calculator()
