"""One line of JSON for each event, on stderr, ours and the libraries' alike. Secrets are masked on the way out."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from entrypoints.http import access_log, request_ids

DOTS: Final = "••••"
LONGEST_TEXT: Final = 20_000
DEEPEST: Final = 8

SECRET_KEY = re.compile(
    r"passw|secret|authorization|api[-_]?key|cookie|credential|private[-_]?key|token$", re.IGNORECASE
)
SECRET_TEXTS: Final = (
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE), rf"\1 {DOTS}"),
    (re.compile(r"\b(sk|ak|pk|rk)([-_])[A-Za-z0-9_-]{6,}"), rf"\1\2{DOTS}"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), DOTS),
    (re.compile(r"(://[^\s:/@]*):[^\s/]+@"), rf"\1:{DOTS}@"),
    (
        re.compile(
            r"((?:password|passwd|secret|api[-_]?key|authorization|token)[\"']?\s?[:=]\s?[\"']?)"
            r"(?!bearer |basic )[^\s\"',;&}]+",
            re.IGNORECASE,
        ),
        rf"\1{DOTS}",
    ),
    # A database driver prints the values of a failed statement: messages and hashes among them.
    (re.compile(r"\[parameters: .*"), f"[parameters: {DOTS}]"),
)

QUIET: Final = ("uvicorn", "httpx", "httpx2", "httpcore", "openai", "anthropic", "asyncio", "alembic")


def configure_logging(level: str, style: Literal["json", "console"] | None = None) -> None:
    """For the whole process. Without a style: console for a person at a terminal, else JSON."""
    style = style or ("console" if sys.stderr.isatty() else "json")
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        name_request,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer(style)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    access = logging.getLogger(access_log.LOGGER)
    access.handlers = []
    access.propagate = style != "json"
    if style == "json":
        lines = logging.StreamHandler(sys.stderr)
        lines.setFormatter(access_log.AccessLine())
        access.addHandler(lines)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def name_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The request's id, also in what goes on after it: a run's task inherits the context of its request."""
    request_id = request_ids.current()
    if request_id != request_ids.OUTSIDE:
        event.setdefault("request_id", request_id)
    return event


def renderer(style: Literal["json", "console"]) -> Processor:
    if style == "console":
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    return as_json


def as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event", "logger") if key in event}
    return msgspec.json.encode({**first, **event}).decode()


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what looks like a secret: by the key it stands under, or by its form, in exception texts too."""
    return {key: clean(value, key) for key, value in event.items()}


def clean(value: object, key: str = "", depth: int = 0) -> object:
    if SECRET_KEY.search(key) and value is not None and not isinstance(value, bool):
        return DOTS
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < DEEPEST and isinstance(value, Mapping):
        return {mask(str(name)): clean(item, str(name), depth + 1) for name, item in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [clean(item, "", depth + 1) for item in value]
    return mask(value if isinstance(value, str) else repr(value))


def mask(text: str) -> str:
    text = text[:LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
    for pattern, replacement in SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text
