"""The check of arguments, made when the first call is checked: what reads JSON Schema costs time and memory."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from application.ports.argument_check import ArgumentCheck
from domain.tools.tools import JsonValue


class CheckWhenNeeded:
    """Implements ArgumentCheck."""

    def problems(self, schema: Mapping[str, JsonValue], arguments: Mapping[str, JsonValue]) -> Sequence[str]:
        return self._check.problems(schema, arguments)

    @cached_property
    def _check(self) -> ArgumentCheck:
        from adapters.json_schema import JsonSchemaCheck

        return JsonSchemaCheck()
