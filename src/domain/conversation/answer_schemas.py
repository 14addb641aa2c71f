"""Answers that are wanted as JSON of a certain form, by work of the server's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from domain.tokens import estimate
from domain.tools.tools import JsonValue


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema in which each object has all of its keys and no others: vendors take no other one strictly.

    A provider that can't hold a model to it is asked without: whoever wants an answer says its form in words, too, and
    reads it carefully.
    """

    name: str
    schema: Mapping[str, JsonValue]

    @property
    def tokens(self) -> int:
        return estimate(self.name + json.dumps(self.schema))
