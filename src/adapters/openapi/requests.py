"""Arguments that a model wrote, as the request that the document describes, and nothing but that."""

import re
from collections.abc import Mapping, Set
from typing import Final
from urllib.parse import unquote

from adapters.openapi.addresses import is_step
from adapters.openapi.functions import Function
from adapters.openapi.operations import FORM, HOLE, In, Parameter
from adapters.openapi.styles import Pairs, compact, encoded, in_form, in_header, in_path, in_query
from application.ports.guarded_web import WebRequest
from application.ports.tool_runner import ToolFailed
from domain.tools.credentials import Credentials
from domain.tools.tools import JsonValue

_PARTS: Final = re.compile(r"[/\\]")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]*")
_DECODED: Final = 4
_LONGEST_URL: Final = 8_000
_LONGEST_HEADER: Final = 4_000
_ACCEPT: Final = ("Accept", "application/json, text/*;q=0.9, */*;q=0.5")
_KEPT: Final = "/:@!$&'()*+,;="

Arguments = Mapping[str, JsonValue]
Headers = tuple[tuple[str, str], ...]


def request_of(function: Function, arguments: Arguments, credentials: Credentials) -> WebRequest:
    """Raises ToolFailed, in words that let the model mend its call."""
    try:
        body, media_type = _body(function, arguments)
        headers = _headers(function, arguments)
        url = function.operation.server + _path(function, arguments) + _query(function, arguments, credentials)
    except UnicodeEncodeError as problem:
        raise ToolFailed("An argument holds half of a character; write it as plain text.") from problem
    except (ValueError, RecursionError) as problem:
        raise ToolFailed("An argument holds a value that JSON can't say, such as NaN.") from problem
    if len(url) > _LONGEST_URL:
        raise ToolFailed(f"The address would be longer than {_LONGEST_URL} characters; write shorter arguments.")
    kind = (("Content-Type", media_type),) if media_type else ()
    return WebRequest(
        method=function.operation.method,
        url=url,
        headers=(_ACCEPT, *kind, *headers),
        body=body,
        credentials=credentials,
    )


def _given(function: Function, arguments: Arguments, where: In) -> list[tuple[str, Parameter, JsonValue]]:
    """What goes there. Null is nothing."""
    found: list[tuple[str, Parameter, JsonValue]] = []
    for offered, parameter in function.parameters.items():
        if parameter.where is not where:
            continue
        value = arguments.get(offered)
        if value is not None:
            found.append((offered, parameter, value))
        elif parameter.required:
            raise ToolFailed(f"{offered} is missing.")
    return found


def _path(function: Function, arguments: Arguments) -> str:
    """Each value stays within its place: none leads up, and none makes the address that of another operation."""
    filled: dict[str, str] = {}
    for offered, parameter, value in _given(function, arguments, In.PATH):
        text = in_path(parameter, value)
        if not text or leads_up(text):
            raise ToolFailed(f"{offered} goes into the address: it must not be empty, nor hold the steps . or ..")
        filled[parameter.name] = text
    parts = HOLE.split(function.operation.path)
    path = "".join(filled[part] if at % 2 else encoded_path(part) for at, part in enumerate(parts))
    if leads_up(path):
        raise ToolFailed("The address would hold the steps . or ..; write other arguments.")
    return path


def leads_up(path: str) -> bool:
    """Also for a server that decodes once too often."""
    for _ in range(_DECODED):
        if any(map(is_step, _PARTS.split(path))):
            return True
        path = unquote(path)
    return False


def encoded_path(text: str) -> str:
    """The fixed text of a path; what is encoded in it already stays so."""
    return "".join(one if one in _KEPT or one == "%" else encoded(one) for one in text)


def _query(function: Function, arguments: Arguments, credentials: Credentials) -> str:
    taken = {name for name, _ in credentials.query}
    pairs = _pairs(function, arguments, In.QUERY, taken)
    return "?" + "&".join(f"{encoded(name)}={text}" for name, text in pairs) if pairs else ""


def _pairs(function: Function, arguments: Arguments, where: In, taken: Set[str]) -> Pairs:
    """Where an object's names become parameters, none of them may pass for another one."""
    declared = {one.name for one in function.operation.parameters if one.where is where} | taken
    pairs: Pairs = []
    for offered, parameter, value in _given(function, arguments, where):
        for name, text in in_query(parameter, value):
            if name != parameter.name and name in declared:
                raise ToolFailed(f"{offered} must not hold {name[:80]!r}: that is a parameter of its own.")
            pairs.append((name, text))
    return pairs


def _headers(function: Function, arguments: Arguments) -> Headers:
    headers = []
    for offered, parameter, value in _given(function, arguments, In.HEADER):
        text = in_header(parameter, value)
        # HTTP takes blanks at the ends away: the server would judge another value than was checked here.
        if not _VISIBLE.fullmatch(text) or len(text) > _LONGEST_HEADER or text != text.strip(" "):
            most = f"at most {_LONGEST_HEADER} printable ASCII characters"
            raise ToolFailed(f"{offered} goes into a header of the request: {most}, no line breaks, no blanks around.")
        headers.append((parameter.name, text))
    # The names that the document gives are right as they are; those that a model gives are not trusted.
    known = {one.name for one in function.parameters.values()}
    cookies = [
        f"{name if name in known else encoded(name)}={text}"
        for name, text in _pairs(function, arguments, In.COOKIE, set())
    ]
    return (*headers, ("Cookie", "; ".join(cookies))) if cookies else tuple(headers)


def _body(function: Function, arguments: Arguments) -> tuple[bytes | None, str]:
    body = function.operation.body
    if body is None:
        return None, ""
    if function.whole is not None:
        there = function.whole in arguments
        value = arguments.get(function.whole)
    else:
        value = {name: arguments[offered] for offered, name in function.lifted.items() if offered in arguments}
        there = bool(value) or body.required
    if not there:
        if body.required:
            raise ToolFailed(f"{function.whole} is missing.")
        return None, ""
    text = in_form(value) if body.media_type == FORM else compact(value)
    return text.encode(), body.media_type
