"""The form that a program wants an answer in: one object of JSON, any or as a schema of its own describes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.tools.tools import JsonValue

LARGEST: Final = 1_000_000
"""Characters; a longer answer is not read."""
_ALONE: Final = (
    "Your answer is read by a program: it must be one JSON object and nothing else. No word before or after it, no "
    "code fence around it, and no word before you call a tool either."
)
_DESCRIBED: Final = "The object must be as this JSON Schema describes it:"


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """`schema` is JSON text, "" where any object will do."""

    schema: str = ""

    @property
    def instruction(self) -> str:
        """It is said in words, which every model understands, beside all tools."""
        return f"{_ALONE} {_DESCRIBED}\n{self.schema}" if self.schema else _ALONE

    @property
    def described(self) -> Mapping[str, JsonValue]:
        found: Mapping[str, JsonValue] = json.loads(self.schema or "{}")
        return found


def with_form(instructions: str, form: AnswerForm | None) -> str:
    return instructions if form is None else f"{instructions}\n\n{form.instruction}".lstrip()


def object_in(answer: str) -> Mapping[str, JsonValue] | None:
    """What the answer says, where it is one object of JSON and nothing else."""
    try:
        value = json.loads(answer, parse_constant=_no_json) if len(answer) <= LARGEST else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_json(constant: str) -> None:
    """NaN and its like, which Python's reader takes, and programs in other languages don't."""
    raise ValueError(constant)
