"""A check of arguments that knows one rule of JSON Schema, for tests of what is done with its word."""

from collections.abc import Mapping, Sequence

from domain.tools.tools import JsonValue


class RequiredArguments:
    """Implements ArgumentCheck: what is `required` must be there."""

    def problems(self, schema: Mapping[str, JsonValue], arguments: Mapping[str, JsonValue]) -> Sequence[str]:
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        return [f"{name} is required." for name in wanted if name not in arguments]
