"""Files that people upload: what they are, how they are called, how much of them there may be."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.errors import TooLarge, TooManyRequests
from domain.ids import FileId, UserId


class FileKind(StrEnum):
    """What a file's content is. Its value is the usual extension."""

    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    HTML = "html"
    MARKDOWN = "md"
    TEXT = "txt"
    CSV = "csv"
    JSON = "json"
    PNG = "png"
    JPEG = "jpg"
    WEBP = "webp"
    GIF = "gif"

    @property
    def is_image(self) -> bool:
        return self in IMAGES

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self]


IMAGES: Final = frozenset({FileKind.PNG, FileKind.JPEG, FileKind.WEBP, FileKind.GIF})
SHOWN_BY_BROWSERS: Final = IMAGES | {FileKind.PDF}
"""What may be shown where it is opened: nothing in it runs with the rights of this server's pages."""

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
MEDIA_TYPES: Final[Mapping[FileKind, str]] = {
    FileKind.PDF: "application/pdf",
    FileKind.DOCX: f"{_OFFICE}wordprocessingml.document",
    FileKind.PPTX: f"{_OFFICE}presentationml.presentation",
    FileKind.XLSX: f"{_OFFICE}spreadsheetml.sheet",
    FileKind.HTML: "text/html",
    FileKind.MARKDOWN: "text/markdown",
    FileKind.TEXT: "text/plain",
    FileKind.CSV: "text/csv",
    FileKind.JSON: "application/json",
    FileKind.PNG: "image/png",
    FileKind.JPEG: "image/jpeg",
    FileKind.WEBP: "image/webp",
    FileKind.GIF: "image/gif",
}

LONGEST_NAME: Final = 255
LONGEST_SAFE_NAME: Final = 100
UNNAMED: Final = "file"
UPLOAD_WINDOW: Final = timedelta(hours=1)

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters: among them are those that turn the direction of what follows."""
_JOINERS: Final = "\u200c\u200d"
_JOINED: Final = rf"[^\x00-\x7f\s{_JOINERS}]"
_STRAY_JOINER: Final = re.compile(rf"(?<!{_JOINED})[{_JOINERS}]|[{_JOINERS}](?!{_JOINED})")
"""Between letters of some scripts, and parts of an emoji, a joiner is seen; elsewhere nobody sees it."""
_UNSAFE: Final = re.compile(r"[^\w.()+=@-]+")
_EXTENSIONS: Final[Mapping[FileKind, frozenset[str]]] = {
    FileKind.HTML: frozenset({"html", "htm"}),
    FileKind.MARKDOWN: frozenset({"md", "markdown"}),
    FileKind.CSV: frozenset({"csv", "tsv"}),
    FileKind.JPEG: frozenset({"jpg", "jpeg"}),
}


class NamedFile:
    """What is needed to make an address for a file."""

    __slots__ = ()

    file_id: FileId
    name: str
    kind: FileKind

    @property
    def safe_name(self) -> str:
        return safe_name(self.name, self.kind)

    @property
    def is_shown_by_browsers(self) -> bool:
        return self.kind in SHOWN_BY_BROWSERS


@dataclass(frozen=True, slots=True)
class Attachment(NamedFile):
    """A file as a message shows it, also when the file itself is gone. `size` is in bytes."""

    file_id: FileId
    name: str
    kind: FileKind
    size: int


@dataclass(frozen=True, slots=True)
class StoredFile(NamedFile):
    """A file whose content is in the storage under its id.

    `name` is what the client called it: data that is shown, never part of a path. `size` is in bytes, `sha256` in hex.
    """

    file_id: FileId
    user_id: UserId
    name: str
    kind: FileKind
    size: int
    sha256: str
    created_at: datetime

    @property
    def attachment(self) -> Attachment:
        return Attachment(self.file_id, self.name, self.kind, self.size)


def parse_file_name(given: str) -> str:
    """What the client called the file, in NFC, without what nobody sees, at most 255 characters; never empty."""
    seen = "".join(char for char in unicodedata.normalize("NFC", given) if _is_seen(char))
    shown = unicodedata.normalize("NFC", _STRAY_JOINER.sub("", seen)).strip()
    return shown[:LONGEST_NAME].rstrip(_JOINERS).strip() or UNNAMED


def _is_seen(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSEEN


def without_folders(name: str) -> str:
    return name[max(name.rfind("/"), name.rfind("\\")) + 1 :]


def safe_name(name: str, kind: FileKind) -> str:
    """The last part of the name as one segment of a path: letters and digits of any script, and an honest extension."""
    stem = without_folders(unicodedata.normalize("NFKC", name))
    stem, dot, extension = stem.rpartition(".")
    if not dot or extension.lower() not in _EXTENSIONS.get(kind, frozenset({kind.value})):
        stem, extension = f"{stem}{dot}{extension}", kind.value
    stem = _UNSAFE.sub("_", stem).strip("._")[:LONGEST_SAFE_NAME].strip("._")
    return f"{stem or UNNAMED}.{extension.lower()}"


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """What a user may keep, in bytes, and how often upload; None without limit."""

    kept_bytes: int | None = None
    uploads_per_hour: int | None = None

    @property
    def is_limited(self) -> bool:
        return self.kept_bytes is not None or self.uploads_per_hour is not None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a user has: bytes kept now, and uploads of the last hour with the oldest of them (None without one)."""

    kept_bytes: int = 0
    recent: int = 0
    oldest_recent: datetime | None = None

    def refuse_beyond(self, quota: UploadQuota, size: int, now: datetime) -> None:
        """Raises TooLarge `upload_quota_exceeded`, TooManyRequests `too_many_uploads` if one more is too much."""
        if quota.uploads_per_hour is not None and self.recent >= quota.uploads_per_hour:
            free_at = (self.oldest_recent or now) + UPLOAD_WINDOW
            message = f"At most {quota.uploads_per_hour} uploads an hour are allowed."
            raise TooManyRequests("too_many_uploads", message, retry_after=max(1.0, (free_at - now).total_seconds()))
        if quota.kept_bytes is not None and self.kept_bytes + size > quota.kept_bytes:
            raise TooLarge(
                "file",
                f"at most {quota.kept_bytes:,} bytes of files are kept for you, {self.kept_bytes:,} are taken: "
                "delete some by DELETE /api/v1/files",
                code="upload_quota_exceeded",
            )
