"""What went wrong, in a sentence for the owner of a server: without secrets, and bounded."""

import re
from collections.abc import Iterable
from typing import Final

from domain.tools.masking import without_halves
from domain.tools.mcp_servers import McpAddress

SAID_CHARS: Final = 300
LOOKED_AT: Final = 20 * SAID_CHARS
DOTS: Final = "••••"
_SHORTEST_SECRET: Final = 4
_SHORTEST_GUESS: Final = 12

NO_CONNECTION: Final = "no connection could be made to it."
NOT_MCP: Final = "what it sends is not MCP."
CUT: Final = "the connection was cut."
CUT_IN_CALL: Final = "the connection was cut in the middle of the call, which may have been carried out or not."
GONE: Final = "it was changed or removed meanwhile."
SESSION_OVER: Final = "it does not know the session any more."
FLOOD: Final = "it sent far more than it was asked for."
NOT_STARTED: Final = "its command could not be started."
ENDED: Final = "its program ended before it answered."
TOO_MANY: Final = "it sent a message with more values than are read at once."
OTHER_VERSION: Final = "it speaks no version of MCP that is known here."


def status(code: int) -> str:
    if code in (401, 403):
        return f"it refused the credentials (HTTP {code})."
    return f"it answered with HTTP {code}."


def late(seconds: float) -> str:
    return f"it did not answer within {round(seconds, 2):g} seconds."


def too_long(most: int) -> str:
    return f"it sent a message of more than {most >> 20} MB."


class Masked:
    """Servers repeat what they were sent: keys among it."""

    def __init__(self, address: McpAddress) -> None:
        told = _secrets((value for _, value in (*address.headers, *address.env)), _SHORTEST_SECRET)
        # Keys stand in addresses and arguments too, among words that are none.
        perhaps = _secrets((*re.split(r"[/?&=]", address.url), *address.args), _SHORTEST_GUESS)
        self._secrets = sorted(told | perhaps, key=len, reverse=True)
        self._longest = max(map(len, self._secrets), default=0)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, DOTS)
        return text

    def line(self, text: str) -> str:
        """On one line, and not long."""
        # Masked before it is cut: half a secret at the end would be left.
        looked_at = self(text[:LOOKED_AT])
        masked = without_halves(looked_at, self._longest) if len(text) > LOOKED_AT else looked_at
        plain = " ".join("".join(c if c.isprintable() else " " for c in masked).split())
        return plain if len(plain) <= SAID_CHARS else f"{plain[:SAID_CHARS]}…"


def _secrets(values: Iterable[str], shortest: int) -> set[str]:
    parts = {part for value in values for part in (value, *value.split(), *value.split("="))}
    return {part for part in parts if len(part) >= shortest}
