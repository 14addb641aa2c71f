"""The conversation with what understands JSON Schema."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.tools.tools import JsonValue


class ArgumentCheck(Protocol):
    def problems(self, schema: Mapping[str, JsonValue], arguments: Mapping[str, JsonValue]) -> Sequence[str]:
        """What is wrong with the arguments of a call, one sentence each that names the place; at most ten.

        Nothing for a schema that is itself broken: it is not the model's fault, and the tool says what it misses.
        Bounded in time whatever the schema and the arguments are (both may be hostile); fetches nothing.
        """
        ...
