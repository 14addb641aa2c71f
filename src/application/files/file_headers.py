"""What a browser is told about a file, whoever serves it: nothing that a user uploads may run as a page of ours."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from domain.files.files import LONGEST_SAFE_NAME, FileKind, NamedFile, without_folders

_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9._-]")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that nobody sees, among them those that turn the direction of an extension."""

_ALLOWED: Final = "!#$&+-.^_`|~"
"""RFC 8187, attr-char: what stays unencoded beside letters and digits."""


def shown_type(file: NamedFile) -> str:
    """The media type to serve it with. No charset: the text may be in any, and browsers look for themselves."""
    return FileKind.TEXT.media_type if file.kind is FileKind.HTML else file.kind.media_type


def disposition(file: NamedFile) -> str:
    """RFC 6266, the name in both forms; ASCII without quotes, whatever the file is called."""
    manner = "inline" if file.is_shown_by_browsers else "attachment"
    plain = _NOT_PLAIN.sub("_", file.safe_name)
    return f"{manner}; filename=\"{plain}\"; filename*=UTF-8''{quote(download_name(file), safe=_ALLOWED)}"


def download_name(file: NamedFile) -> str:
    """What the client called it, without folders, and with an extension that does not lie about the content."""
    extension = file.safe_name.rpartition(".")[2]
    last = without_folders(file.name)
    visible = "".join(char for char in last if unicodedata.category(char) not in _HIDDEN).strip(" .")
    stem = visible[: -len(extension) - 1] if visible.lower().endswith(f".{extension}") else visible
    stem = stem[:LONGEST_SAFE_NAME].strip(" .")
    return f"{stem}.{extension}" if stem else file.safe_name
