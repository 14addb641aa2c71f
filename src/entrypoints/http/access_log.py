"""The access log's line, made directly: through the general processors it costs a fifth of a short request.

Nothing in it needs masking: the path is the route's template, the ids are checked or ours.
"""

import logging
from datetime import UTC, datetime
from typing import Final

import msgspec

LOGGER: Final = "agentchat.access"
_FIELDS: Final = ("method", "path", "status", "duration_ms", "request_id", "user_id")

_encode = msgspec.json.Encoder().encode


class AccessLine(logging.Formatter):
    """One object of JSON a line, with the keys that every other line has too."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.__dict__
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": "info",
            "event": record.msg,
            "logger": LOGGER,
        }
        return _encode(line | {field: said.get(field) for field in _FIELDS}).decode()
