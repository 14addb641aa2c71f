"""The calls of the SDK. All of them block, so they run in threads; all raise one of `errors.FAILURES`.

Parts are sent by the SDK's own calls for parts, which it keeps to itself: its `put_object` would hold a thread for as
long as a client takes to send its file.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from minio import Minio
from minio.datatypes import Part
from minio.error import S3Error, ServerError

from adapters.minio.addresses import FOLDER, key_of
from adapters.minio.errors import no_bucket
from application.files.file_ids import is_between, is_file_id
from domain.errors import NotFound
from domain.ids import FileId

_PAGE: Final = 1000
_NOT_LISTED: Final = frozenset({"AccessDenied", "MethodNotAllowed", "NotImplemented"})
_MADE: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a content of `size` bytes."""

    data: bytes
    size: int
    version: str | None


class Bucket:
    """`quick` is a client of little patience, for the question whether the storage works."""

    def __init__(self, client: Minio, quick: Minio, name: str, *, create: bool) -> None:
        self._client, self._quick, self._name = client, quick, name
        self._missing, self._making = create, threading.Lock()

    def upload(self, file_id: FileId) -> "Upload":
        return Upload(self._client, self._name, key_of(file_id))

    def make(self) -> None:
        """If it is to be made: every call comes here first."""
        if not self._missing:
            return
        with self._making:
            if self._missing and not self._client.bucket_exists(self._name):
                with _ignored(_MADE):
                    self._client.make_bucket(self._name)
            self._missing = False

    def check(self) -> None:
        if self._quick.bucket_exists(self._name):
            return
        if not self._missing:
            raise no_bucket()
        self.make()

    def piece(self, file_id: FileId, start: int, length: int, version: str | None) -> Piece:
        """At most so many bytes, of that version if one is given. Each has its connection: slow readers hold none."""
        self.make()
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": version} if version else {}
        try:
            answer = self._client.get_object(self._name, key_of(file_id), start, length, headers)
        except S3Error as error:
            if error.code == "NoSuchKey" and version is None:
                raise NotFound("file", file_id) from None
            if error.code == "InvalidRange":
                return Piece(b"", 0, version)
            raise
        try:
            size = _size(answer.headers.get("Content-Range"), answer.headers.get("Content-Length"), start, length)
            return Piece(answer.read(length), size, answer.headers.get("ETag"))
        finally:
            answer.close()
            answer.release_conn()

    def remove(self, file_id: FileId) -> None:
        self.make()
        key = key_of(file_id)
        self._client.remove_object(self._name, key)
        for upload_key, upload_id in self._uploads(key):
            if upload_key == key:
                with _ignored({"NoSuchUpload"}):
                    self._client._abort_multipart_upload(self._name, key, upload_id)

    def finished(self, first: str, end: str) -> Iterator[Sequence[FileId]]:
        """Pages of the ids of the window. Only the window is listed: the keys sort by the time in them."""
        objects = self._client.list_objects(self._name, FOLDER, recursive=True, start_after=FOLDER + first)
        keys = takewhile(lambda key: key < FOLDER + end, (one.object_name or "" for one in objects))
        while page := list(islice(keys, _PAGE)):
            yield _ids(page, first, end)

    def unfinished(self, first: str, end: str) -> Sequence[FileId]:
        """Not every storage lists them: one that does not clears them away itself, as MinIO does after a day."""
        self.make()
        return sorted(set(_ids((key for key, _ in self._uploads(FOLDER)), first, end)))

    def _uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        marker: str | None = None
        with _ignored(_NOT_LISTED):
            while True:
                page = self._client._list_multipart_uploads(self._name, prefix=prefix, key_marker=marker)
                yield from ((one.object_name, one.upload_id or "") for one in page.uploads)
                if not page.is_truncated or page.next_key_marker in {None, marker}:
                    return
                marker = page.next_key_marker


class Upload:
    """A content that is being written. Its methods may be called from several threads, and `discard` at any time."""

    def __init__(self, client: Minio, bucket: str, key: str) -> None:
        self._client, self._bucket, self._key = client, bucket, key
        self._lock = threading.Lock()
        self._id: str | None = None
        self._parts: list[Part] = []
        self._discarded = self._may_be_there = False

    def send(self, part: bytes) -> None:
        with self._lock:
            if not self._discarded:
                self._send(part)

    def finish(self, rest: bytes) -> None:
        """With the last part, which may be small. It may be there from now on, also if the answer never comes."""
        with self._lock:
            if self._discarded:
                return
            if self._id is None:
                self._may_be_there = True
                self._client._put_object(self._bucket, self._key, rest, {"Content-Type": "application/octet-stream"})
                return
            if rest:
                self._send(rest)
            self._may_be_there = True
            self._complete(self._id)

    def discard(self) -> None:
        with self._lock:
            self._discarded = True
            try:
                if self._id is not None:
                    with _ignored({"NoSuchUpload"}):
                        self._client._abort_multipart_upload(self._bucket, self._key, self._id)
            finally:
                if self._may_be_there:
                    self._client.remove_object(self._bucket, self._key)

    def _send(self, part: bytes) -> None:
        if self._id is None:
            self._id = self._client._create_multipart_upload(self._bucket, self._key, {})
        number = len(self._parts) + 1
        etag = self._client._upload_part(self._bucket, self._key, part, None, self._id, number)
        self._parts.append(Part(number, etag))

    def _complete(self, upload_id: str) -> None:
        done = self._client._complete_multipart_upload(self._bucket, self._key, upload_id, self._parts)
        # S3 may say 200 and then, in the body, that it failed. The SDK does not look.
        if not done.etag:
            raise ServerError("the upload was not completed", 200)


def _size(content_range: str | None, content_length: str | None, start: int, length: int) -> int:
    """Of the whole object. A storage that gives no ranges would give the wrong bytes."""
    if content_range:
        return int(content_range.rpartition("/")[2])
    whole = int(content_length or 0)
    if start or whole > length:
        raise ServerError("the storage gives no ranges", 200)
    return whole


def _ids(keys: Iterator[str] | Sequence[str], first: str, end: str) -> Sequence[FileId]:
    names = (key.removeprefix(FOLDER) for key in keys)
    ours = (FileId(name) for name in names if is_file_id(name))
    return [one for one in ours if is_between(one, first, end)]


@contextlib.contextmanager
def _ignored(codes: frozenset[str] | set[str]) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code not in codes:
            raise
