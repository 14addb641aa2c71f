"""JSON bodies: decoded in one strict pass into the handler's Struct, so that a wrong type names its field."""

import asyncio
import re
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.types import Empty

from domain.errors import FieldProblem
from entrypoints.http.errors import FRAMEWORK, Refusal, Refused
from entrypoints.http.wording import plain

T = TypeVar("T")

BODY_SECONDS: Final = 30.0
"""For the whole body: a client that announces one and falls silent would hold its memory and connection for ever."""

_MISSING: Final = re.compile(r"Object missing required field `(.+?)`")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class JsonRequest(Request[Any, Any, Any]):
    """Litestar would decode to plain objects first, and then convert loosely ("3" for 3)."""

    async def json(self) -> Any:
        if self._json is Empty:
            body = await self.body()
            _check_media_type(self.headers.get("content-type", ""))
            self._json = _decode(body, self.route_handler.parsed_fn_signature.parameters["data"].annotation)
        return self._json

    async def body(self) -> bytes:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await super().body()
        except TimeoutError as error:
            raise Refused(Refusal(408, *FRAMEWORK[408], headers={"Connection": "close"})) from error


def forget_body(request: Request[Any, Any, Any]) -> None:
    """Litestar keeps it as long as the response lasts: that of a stream may be minutes, and the body large."""
    request._body = request._connection_state.body = b""


def read_json(body: bytes, media_type: str, wanted: type[T]) -> T:
    """For a handler that reads its body itself. Raises Refused."""
    _check_media_type(media_type)
    read: T = _decode(body, wanted)
    return read


def _check_media_type(value: str) -> None:
    kind = value.split(";", 1)[0].strip().lower()
    if kind and kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refused(Refusal(415, *FRAMEWORK[415]))


def _decode(body: bytes, wanted: Any) -> Any:
    decoder = _decoders.get(wanted)
    if decoder is None:
        decoder = _decoders.setdefault(wanted, msgspec.json.Decoder(wanted))
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(_invalid(str(error))) from error
    except UnicodeDecodeError as error:
        raise Refused(_malformed("it is not UTF-8")) from error
    except RecursionError as error:
        raise Refused(_malformed("it is nested too deeply")) from error
    except msgspec.DecodeError as error:
        raise Refused(_malformed(plain(str(error).removeprefix("JSON is malformed: ")))) from error


def _malformed(reason: str) -> Refusal:
    return Refusal(400, "malformed_json", f"The body must be a JSON object: {reason}.")


def _invalid(text: str) -> Refusal:
    """msgspec's sentence, such as "Expected `str`, got `int` - at `$.name`", in words that name no Python."""
    # The last one: what was sent stands before it, and may look like another.
    _, _, place = text.rpartition(" - at `$")
    path = place.removeprefix(".").removesuffix("`") if place != text else ""
    if missing := _MISSING.match(text):
        name, message = ".".join(filter(None, (path, missing.group(1)))), "is required"
    else:
        name, message = path, plain(text)
    if not name:
        return Refusal(422, "invalid_value", f"The body must be a JSON object: {message}.")
    return Refusal(422, "invalid_value", f"{name}: {message}", (FieldProblem(name, message),))
