"""FileStorage in a bucket. The SDK blocks, so it works beside the event loop, in threads of its own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple

from adapters.minio.addresses import Links, key_of, parse_endpoint
from adapters.minio.bucket import Bucket, Upload
from adapters.minio.connections import Account, Patience, client
from adapters.minio.errors import FAILURES, unavailable
from adapters.minio.gathering import Gathering
from application.files.file_headers import disposition, shown_type
from application.files.file_ids import is_file_id, time_prefix
from domain.errors import NotFound
from domain.files.files import NamedFile
from domain.ids import FileId

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logging.getLogger("agentchat.storage")

PART: Final = 5 * 1024 * 1024
TRANSFERS: Final = 6
LONGEST_LINK: Final = timedelta(days=7)
"""More than these, S3 does not sign."""

_PIECE: Final = 1024 * 1024
_THREADS: Final = 16
_DISCARD_SECONDS: Final = 5.0
_SECOND: Final = timedelta(seconds=1)


class MinioFiles:
    """`endpoint` and `public_endpoint` are `host:port` or addresses; links name the public one.

    At most 6 parts are in transfer, and in memory, at a time; other writes wait, and don't read their source meanwhile.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        *,
        secure: bool,
        region: str = "us-east-1",
        public_endpoint: str | None = None,
        create_bucket: bool = False,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        check_timeout: float = 2.0,
    ) -> None:
        account = Account(access_key, secret_key, region)
        inner = parse_endpoint(endpoint, secure=secure)
        public = parse_endpoint(public_endpoint or endpoint, secure=secure)
        patience = Patience(connect_timeout, read_timeout)
        quick = Patience(check_timeout, check_timeout, retries=0)
        private, self._public = client(inner, account, patience), client(public, account, patience)
        hurried = client(inner, account, quick)
        self._clients = (private, self._public, hurried)
        self._bucket, self._name = Bucket(private, hurried, bucket, create=create_bucket), bucket
        self._links = Links([one.presigned_get_object(bucket, key_of(FileId(""))) for one in (private, self._public)])
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._checks = ThreadPoolExecutor(1, thread_name_prefix="s3-check")
        # Their own threads, as few as may send: the allocator keeps a part's memory for each thread that held one.
        self._senders = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="s3-send")
        self._transfers = asyncio.Semaphore(TRANSFERS)
        # What one step may take, waiting for a thread included: all may hang in a storage that does not answer.
        self._step_seconds = 3 * (connect_timeout + read_timeout)

    async def write(self, file_id: FileId, content: AsyncIterator[bytes]) -> None:
        if not is_file_id(file_id):
            raise ValueError("what is no file id never becomes a key")
        upload = self._bucket.upload(file_id)
        gathering = Gathering()
        try:
            await self._run(self._bucket.make)
            async for piece in content:
                if gathering.add(piece):
                    await self._run(gathering.spill)
                if gathering.size > PART:
                    await self._transfer(upload.send, gathering)
            await self._transfer(upload.finish, gathering)
        except BaseException:
            await self._discard(upload)
            raise
        finally:
            gathering.close()

    async def read(self, file_id: FileId, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        if not is_file_id(file_id):
            raise NotFound("file", file_id)
        is_empty = stop is not None and stop <= start
        version: str | None = None
        while True:
            length = _PIECE if stop is None else max(1, min(_PIECE, stop - start))
            # Also for no bytes at all: whether the file is there must be said.
            piece = await self._run(self._bucket.piece, file_id, start, length, version)
            start, version = start + len(piece.data), piece.version
            if not piece.data or is_empty:
                return
            yield piece.data
            if start >= piece.size or start == stop:
                return

    async def remove(self, file_id: FileId) -> None:
        if is_file_id(file_id):
            await self._run(self._bucket.remove, file_id)

    async def written_between(self, begin: datetime, end: datetime) -> AsyncGenerator[FileId, None]:
        first, last = time_prefix(begin), time_prefix(end)
        unfinished = await self._run(self._bucket.unfinished, first, last)
        for file_id in unfinished:
            yield file_id
        pages = self._bucket.finished(first, last)
        while (page := await self._run(next, pages, None)) is not None:
            for file_id in page:
                if file_id not in unfinished:
                    yield file_id

    async def link(self, file: NamedFile, expires_at: datetime, server: str) -> str:  # noqa: ARG002
        """A storage of its own has its own address: `server` is not in it. No network: the region is known."""
        ends = expires_at.replace(microsecond=0)
        begins = min(datetime.now(UTC).replace(microsecond=0), ends - _SECOND)
        return self._public.presigned_get_object(
            self._name,
            key_of(file.file_id),
            min(ends - begins, LONGEST_LINK),
            {"response-content-disposition": disposition(file), "response-content-type": shown_type(file)},
            begins,
        )

    def file_of(self, address: str) -> FileId | None:
        return self._links.file_in(address)

    async def check(self) -> None:
        await self._run(self._bucket.check, threads=self._checks)

    async def aclose(self) -> None:
        """Waits for nobody: a thread that still works ends by itself, by its time-outs at the latest."""
        for threads in (self._threads, self._checks, self._senders):
            threads.shutdown(wait=False, cancel_futures=True)
        for one in self._clients:
            one._http.clear()

    async def _transfer(self, send: Callable[[bytes], None], gathering: Gathering) -> None:
        async with self._transfers:
            await self._run(lambda: send(gathering.take()), threads=self._senders)

    async def _discard(self, upload: Upload) -> None:
        """The caller waits for it a while, and not if it is cancelled again; it is done all the same."""
        try:
            discarding = self._threads.submit(upload.discard)
        except RuntimeError:
            # Closed already. What is left, the upkeep finds and removes.
            return
        discarding.add_done_callback(_noted)
        over = asyncio.gather(asyncio.wrap_future(discarding), return_exceptions=True)
        await asyncio.wait({over}, timeout=_DISCARD_SECONDS)

    async def _run(self, work: Callable[[*Ts], T], *arguments: *Ts, threads: ThreadPoolExecutor | None = None) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._step_seconds):
                return await loop.run_in_executor(threads or self._threads, work, *arguments)
        except FAILURES as error:
            raise unavailable(error) from error


def _noted(discarding: "Future[None]") -> None:
    if not discarding.cancelled() and (error := discarding.exception()):
        log.warning("discard_failed", exc_info=error)
