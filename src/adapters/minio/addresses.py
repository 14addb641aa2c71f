"""Addresses of the storage: as settings name it, and as links into its bucket look. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from application.files.file_ids import FILE_ID
from application.files.file_links import may_be_address
from domain.ids import FileId

FOLDER: Final = "files/"
_ENDPOINT: Final = re.compile(r"(?:(https?)://)?([^/?#@\s\\]+(?<!:))/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`place` is host and port."""

    place: str
    secure: bool


def parse_endpoint(given: str, *, secure: bool) -> Endpoint:
    """`host:port`, or an address: then its scheme says whether it is secure."""
    found = _ENDPOINT.fullmatch(given.strip())
    if found is None:
        raise ValueError("endpoint: must be host:port, or an address that begins with http:// or https://")
    scheme, place = found.groups()
    return Endpoint(place, scheme.lower() == "https" if scheme else secure)


def key_of(file_id: FileId) -> str:
    return f"{FOLDER}{file_id}"


class Links:
    """Recognises addresses of objects: `samples` are addresses of an object with an empty id, one for each endpoint."""

    def __init__(self, samples: Iterable[str]) -> None:
        folders = "|".join(sorted({_pattern(sample) for sample in samples}))
        self._address = re.compile(rf"(?:{folders})({FILE_ID})(?:\?[^#\\]*)?")

    def file_in(self, text: str) -> FileId | None:
        found = self._address.fullmatch(text) if may_be_address(text) else None
        return FileId(found[1]) if found else None


def _pattern(sample: str) -> str:
    """Scheme and host in any case, and the usual port also where the SDK leaves it out."""
    parts = urlsplit(sample)
    usual = f"(?::{443 if parts.scheme == 'https' else 80})?" if parts.port is None else ""
    return f"(?i:{re.escape(parts.scheme)}://{re.escape(parts.netloc)}){usual}{re.escape(parts.path)}"
