"""The secrets of the embedded mode: made on the first start, kept in the data folder, for the owner's eyes only.

One secret a line, the first signs; blank lines and lines that begin with # don't count.
"""

import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final

FILE_NAME: Final = "secret_keys"
_SAFE_MODE: Final = 0o600
_SECRET_BYTES: Final = 48


class SecretFileRefused(Exception):
    """The file can't be trusted; the message says what to do."""


def read_or_make_secret_keys(data_dir: Path) -> tuple[str, ...]:
    """Processes that start for the first time together agree: the file appears whole, and only once."""
    path = data_dir / FILE_NAME
    try:
        if not os.path.lexists(path):
            data_dir.mkdir(parents=True, exist_ok=True)
            _make(path)
    except OSError as error:
        raise SecretFileRefused(f"{path} can't be made: {error.strerror}") from error
    keys = tuple(_lines(_read(path)))
    if not keys:
        raise SecretFileRefused(f"{path} holds no secret: restore it, or delete it, which ends all logins")
    return keys


def _make(path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"# The first key signs, all verify. Losing them ends all logins.\n{_new_secret()}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when another process was first: then its secret counts.
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def _read(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SecretFileRefused(f"{path} can't be read ({error.strerror}): it must be a file of this user") from error
    try:
        _secure(path, handle)
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
        return file.read()


def _secure(path: Path, handle: int) -> None:
    """Others could read a lax file: it is tightened, unless it is not ours to trust."""
    if os.name != "posix":
        return
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise SecretFileRefused(f"{path} belongs to another user or is no file: it must be a file of this user")
    if found.st_mode & 0o022:
        raise SecretFileRefused(
            f"{path} could be written by others, so its secrets may be theirs: delete it, which ends all logins, "
            f"or check it and run chmod 600 on it"
        )
    if stat.S_IMODE(found.st_mode) != _SAFE_MODE:
        os.fchmod(handle, _SAFE_MODE)


def _lines(text: str) -> list[str]:
    return [line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith("#")]


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)
