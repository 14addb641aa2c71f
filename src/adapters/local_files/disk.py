"""What is done on the disk: in threads, never in the event loop. Raises OSError.

A content is at folder/01K9X/A/01K9XA…: the first five characters of an id are nine hours, one more is a quarter of an
hour, so that no folder grows without end and a window of time is found without walking everything. What is being
written is beside it, with a name that begins with the id and ends in `.part`.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from application.files.file_ids import is_between, is_file_id
from domain.ids import FileId

UNFINISHED: Final = ".part"
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LEAST_ROOM: Final = 4 * 1024 * 1024

_OUTER, _INNER = 5, 6
_TRIES: Final = 5


class Part:
    """A content that is being written. Its methods may be called from several threads, and `discard` at any time."""

    def __init__(self, root: Path, file_id: FileId) -> None:
        self._root, self._target = root, path_of(root, file_id)
        self._path = self._target.with_name(f"{file_id}.{os.urandom(8).hex()}{UNFINISHED}")
        self._lock = threading.Lock()
        self._discarded = self._kept = False
        self._handle: int | None = None

    def open(self) -> None:
        with self._lock:
            if not self._discarded:
                self._handle = _made_file(self._root, self._path)

    def write(self, pieces: Iterable[bytes]) -> None:
        with self._lock:
            if self._handle is None:
                return
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[os.write(self._handle, left) :]

    def keep(self) -> None:
        """Give it its name, durably: the folders too, for another call may just have made them."""
        with self._lock:
            if self._handle is None:
                return
            os.fsync(self._handle)
            os.replace(self._path, self._target)
            self._kept = True
            self._close()
            for folder in _folders(self._root, self._target):
                _sync(folder)

    def discard(self) -> None:
        """Leave nothing, not even what was kept."""
        with self._lock:
            self._discarded = True
            try:
                (self._target if self._kept else self._path).unlink(missing_ok=True)
            finally:
                self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


class Content:
    """A content that is being read."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)  # noqa: SIM115

    def read(self, start: int, length: int) -> bytes:
        with self._lock:
            return os.pread(self._file.fileno(), length, start)

    def close(self) -> None:
        with self._lock:
            self._file.close()


def path_of(root: Path, file_id: FileId) -> Path:
    if not is_file_id(file_id):
        raise ValueError("what is no file id never becomes a path")
    return root / file_id[:_OUTER] / file_id[_OUTER:_INNER] / file_id


def make_root(root: Path) -> None:
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def check_room(root: Path) -> None:
    """Raises OSError ENOSPC where the next upload, or line of the database beside it, may not fit any more."""
    check_root(root)
    found = os.statvfs(root)
    if found.f_bavail * found.f_frsize < LEAST_ROOM:
        raise OSError(errno.ENOSPC, "the disk is full")


def check_root(root: Path) -> None:
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        number = errno.EACCES if root.is_dir() else errno.ENOENT
        raise OSError(number, os.strerror(number))


def remove(root: Path, file_id: FileId) -> None:
    """The content, what was left of unfinished ones, and folders that are empty then."""
    target = path_of(root, file_id)
    check_root(root)
    for name in _names(target.parent):
        if _file_in(name) == file_id:
            (target.parent / name).unlink(missing_ok=True)
    for folder in _folders(root, target)[:-1]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def folders_between(root: Path, first: str, end: str) -> Sequence[Path]:
    """The innermost folders that can hold ids of the window, in their order."""
    check_root(root)
    outer = [name for name in sorted(_names(root)) if len(name) == _OUTER and first[:_OUTER] <= name <= end[:_OUTER]]
    inner = [(name, last) for name in outer for last in sorted(_names(root / name)) if len(name + last) == _INNER]
    return [root / name / last for name, last in inner if first[:_INNER] <= name + last <= end[:_INNER]]


def ids_between(folder: Path, first: str, end: str) -> Sequence[FileId]:
    found = {file_id for name in _names(folder) if (file_id := _file_in(name)) is not None}
    here = folder.parent.name + folder.name
    return sorted(one for one in found if one.startswith(here) and is_between(one, first, end))


def _file_in(name: str) -> FileId | None:
    file_id, dot, rest = name.partition(".")
    ours = is_file_id(file_id) and (not dot or rest.endswith(UNFINISHED))
    return FileId(file_id) if ours else None


def _names(folder: Path) -> Sequence[str]:
    """None when it is gone: another call may have removed it as empty."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _made_file(root: Path, path: Path) -> int:
    for _ in range(_TRIES):
        for folder in reversed(_folders(root, path)[:-1]):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=FOLDER_MODE)
        # Again if the folder is gone: another call found it empty and removed it in between.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _folders(root: Path, path: Path) -> Sequence[Path]:
    """Innermost first, the root last."""
    return (path.parent, path.parent.parent, root)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
