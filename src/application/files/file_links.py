"""Addresses under which this server itself hands files out: what they look like, and what their signature covers."""

import json
import re
from typing import Final
from urllib.parse import quote, unquote, urlencode

from application.files.file_ids import FILE_ID
from domain.ids import FileId

FOLDER: Final = "/api/v1/files/"
LONGEST_ADDRESS: Final = 4096

_SERVER: Final = r"(?i:https?)://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[\w~-][\w.~-]*)*"
_ADDRESS: Final = re.compile(rf"(?:{_SERVER})?{re.escape(FOLDER)}({FILE_ID})/([^/?#\\]+)(?:\?[^#\\]*)?")
"""A server may stand behind a prefix of the path. Its host is not looked at: one server has several names."""

_NAME: Final = re.compile(r"[\w.()+=@-]+")
_DOTS: Final = re.compile(r"%2e", re.IGNORECASE)


def granted(file_id: str, name: str, expires: int) -> str:
    """What is signed: two different grants never look the same, whatever the strings hold."""
    return json.dumps(["read file", file_id, name, expires])


def address(server: str, file_id: FileId, name: str, expires: int, signature: str) -> str:
    """`expires` is in seconds since 1970."""
    query = urlencode({"expires": expires, "signature": signature})
    return f"{server}{FOLDER}{file_id}/{quote(name, safe='')}?{query}"


def may_be_address(text: str) -> bool:
    """Whether it is worth a closer look."""
    return len(text) <= LONGEST_ADDRESS and " " not in text and text.isprintable()


def file_in(text: str) -> FileId | None:
    """The file that an address of this kind names, whatever its signature; None for every other text."""
    found = _ADDRESS.fullmatch(text) if may_be_address(text) else None
    return FileId(found[1]) if found and _is_name(found[2]) else None


def _is_name(segment: str) -> bool:
    """Whether it can be a safe name (domain/files/files.py) in an address. One that was encoded twice is none."""
    try:
        name = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    return bool(_NAME.fullmatch(name)) and not _DOTS.search(segment) and name not in {".", ".."}
