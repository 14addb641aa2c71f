"""Uploading against both databases: a file is there whole, with its row, or nothing of it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from adapters.local_files import LocalFiles
from adapters.security import HmacLinkSigner
from application.files import files
from application.files.file_links import granted
from application.files.files import LinkFile, ListFiles, RemoveFile, ServeFile, ShowFile
from application.files.uploads import UploadFile, UploadPlaces
from application.paging import Window
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.errors import DomainError, Forbidden, InvalidValue, NotFound, TooLarge, TooManyRequests, Unavailable
from domain.files.file_kinds import KindRefused
from domain.files.files import FileKind, NamedFile, UploadQuota
from domain.ids import FileId, UserId
from file_desk import SERVER, MemoryFiles, file_of
from meddled import Meddled
from patience import PATIENCE
from stored import NOBODY, registered

LIMIT = 10_000
SIGNER = HmacLinkSigner(["a-secret-of-the-tests-that-is-long-enough"])


@dataclass
class Sent:
    """A client that sends `pieces` and then nothing, or raises `then`."""

    pieces: Sequence[bytes]
    name: str = "notes.txt"
    at_least: int = 0
    then: BaseException | None = None
    read: int = 0
    gate: asyncio.Event | None = None

    async def begin(self) -> str:
        return self.name

    async def content(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.read += 1
            yield piece
        if self.gate is not None:
            await self.gate.wait()
        if self.then is not None:
            raise self.then


@dataclass
class Uploads:
    transactions: Any
    storage: FileStorage = field(default_factory=MemoryFiles)
    quota: UploadQuota = UploadQuota()
    places: UploadPlaces = field(default_factory=lambda: UploadPlaces(100))
    clock: SetClock = field(default_factory=SetClock)

    def __post_init__(self) -> None:
        tx, storage, clock = cast(Transactions, self.transactions), self.storage, self.clock
        link = LinkFile(storage, clock, timedelta(hours=1))
        self.upload = UploadFile(tx, storage, clock, link, self.places, LIMIT, self.quota)
        self.listed, self.show = ListFiles(tx, link), ShowFile(tx, link)
        self.remove, self.serve = RemoveFile(tx, storage, clock), ServeFile(tx, storage, SIGNER, clock)

    @property
    def contents(self) -> dict[FileId, bytes]:
        assert isinstance(self.storage, MemoryFiles)
        return self.storage.contents

    async def send(self, actor: UserId, *pieces: bytes, **more: Any) -> FileId:
        return (await self.upload(actor, Sent(pieces, **more), SERVER)).file.file_id

    async def names(self, actor: UserId) -> list[str]:
        return [linked.file.name for linked in (await self.listed(actor, Window(), SERVER)).items]


@pytest.fixture
async def owner(transactions: DatabaseTransactions) -> UserId:
    return await registered(transactions)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> Uploads:
    return Uploads(transactions)


async def nothing_is_left(desk: Uploads, owner: UserId) -> None:
    assert desk.contents == {}
    assert await desk.names(owner) == []


@settings(max_examples=20)
@given(pieces=st.lists(st.text("ab中\n", max_size=400).map(str.encode), min_size=1, max_size=6))
async def test_what_was_sent_is_kept_and_measured(
    transactions: DatabaseTransactions, tmp_path: Path, pieces: list[bytes]
) -> None:
    desk = Uploads(transactions, LocalFiles(tmp_path / "files", SIGNER))
    owner = await registered(transactions)
    whole = b"".join(pieces)
    if not whole:
        with pytest.raises(InvalidValue):
            await desk.send(owner, *pieces)
        return
    linked = await desk.upload(owner, Sent(pieces, "说明.md"), SERVER)
    file = linked.file
    assert (file.name, file.kind, file.size) == ("说明.md", FileKind.MARKDOWN, len(whole))
    assert (file.sha256, file.user_id) == (sha256(whole).hexdigest(), owner)
    assert b"".join([piece async for piece in desk.storage.read(file.file_id)]) == whole
    assert desk.storage.file_of(linked.url) == file.file_id
    assert await desk.show(owner, file.file_id, SERVER) == linked


@pytest.mark.parametrize(
    ("sent", "error", "code"),
    [
        (Sent([b"x" * LIMIT, b"x"]), TooLarge, "file_too_large"),
        (Sent([b"\x7fELF" + bytes(2000)]), KindRefused, "file_kind_not_allowed"),
        (Sent([b"text", b"\x00"], "a.pdf"), KindRefused, "file_kind_not_allowed"),
        (Sent([b"PK\x03\x04" + b"a" * 3000]), KindRefused, "file_kind_not_allowed"),
        (Sent([b""]), InvalidValue, "file_empty"),
        (Sent([b"text"], then=InvalidValue("file", "is two")), InvalidValue, "invalid_value"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    desk: Uploads, owner: UserId, sent: Sent, error: type[DomainError], code: str
) -> None:
    with pytest.raises(error) as refused:
        await desk.upload(owner, sent, SERVER)
    assert refused.value.code == code
    await nothing_is_left(desk, owner)


async def test_a_file_as_large_as_allowed_is_taken(desk: Uploads, owner: UserId) -> None:
    file_id = await desk.send(owner, b"x" * (LIMIT - 1), b"x")
    assert len(desk.contents[file_id]) == LIMIT


async def test_too_much_is_refused_in_the_middle_and_the_limit_is_named(desk: Uploads, owner: UserId) -> None:
    sent = Sent([b"x" * 1000] * 1000)
    with pytest.raises(TooLarge, match=r"10,000 bytes \(0.01 MiB\)"):
        await desk.upload(owner, sent, SERVER)
    assert sent.read == LIMIT // 1000 + 1


async def test_too_much_that_is_announced_is_not_read_at_all(desk: Uploads, owner: UserId) -> None:
    sent = Sent([b"x"], at_least=LIMIT + 1)
    with pytest.raises(TooLarge):
        await desk.upload(owner, sent, SERVER)
    assert sent.read == 0


async def test_a_client_that_goes_away_leaves_nothing(transactions: DatabaseTransactions, tmp_path: Path) -> None:
    desk = Uploads(transactions, LocalFiles(tmp_path / "files", SIGNER))
    owner = await registered(transactions)
    uploading = asyncio.create_task(desk.send(owner, b"x" * 5000, gate=asyncio.Event()))
    async with asyncio.timeout(PATIENCE):
        while not any(path.is_file() for path in tmp_path.rglob("files/**/*")):
            await asyncio.sleep(0.01)
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert [path for path in tmp_path.rglob("files/**/*") if path.is_file()] == []
    assert await desk.names(owner) == []


async def test_a_storage_that_is_away_keeps_no_row(desk: Uploads, owner: UserId) -> None:
    cast(MemoryFiles, desk.storage).down = True
    with pytest.raises(Unavailable, match="storage"):
        await desk.send(owner, b"text")
    await nothing_is_left(desk, owner)


async def test_without_an_answer_of_the_database_the_content_is_left_to_the_upkeep(
    transactions: DatabaseTransactions,
) -> None:
    meddled = Meddled(transactions)
    desk = Uploads(meddled)
    owner = await registered(transactions)

    async def fails(*_: object, **__: object) -> None:
        raise Unavailable("database_unavailable", "away")

    meddled.instead["files.add"] = fails
    for number in (1, 2):
        with pytest.raises(Unavailable):
            await desk.send(owner, b"text")
        assert len(desk.contents) == number
        meddled.instead["files.these"] = fails
    meddled.instead.clear()
    assert await desk.names(owner) == []


@dataclass
class CommitsLate:
    """Loses the connection under the COMMIT, which lands when the test says so."""

    real: DatabaseTransactions
    late: list[Any] = field(default_factory=list)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        late = self.late

        class Files:
            async def add(self, file: Any) -> None:
                late.append(file)

        class Pending:
            files = Files()

        yield Pending()
        raise Unavailable("database_unavailable", "away")

    def autocommit(self) -> Any:
        return self.real.autocommit()

    async def land(self) -> None:
        async with self.real.autocommit() as tx:
            for file in self.late:
                await tx.files.add(file)


async def test_a_commit_that_lands_after_the_refusal_finds_its_content(transactions: DatabaseTransactions) -> None:
    late = CommitsLate(transactions)
    desk = Uploads(late)
    owner = await registered(transactions)
    with pytest.raises(Unavailable):
        await desk.send(owner, b"text")
    await late.land()
    [linked] = (await desk.listed(owner, Window(), SERVER)).items
    assert desk.contents == {linked.file.file_id: b"text"}


@dataclass
class LosesAnswers:
    """Commits, and then the connection is lost."""

    real: DatabaseTransactions

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        async with self.real.begin() as tx:
            yield tx
        raise Unavailable("database_unavailable", "away")

    def autocommit(self) -> Any:
        return self.real.autocommit()


@pytest.mark.parametrize("quota", [UploadQuota(), UploadQuota(4, 1)])
async def test_a_lost_acknowledgement_is_no_failure(transactions: DatabaseTransactions, quota: UploadQuota) -> None:
    desk = Uploads(LosesAnswers(transactions), quota=quota)
    owner = await registered(transactions)
    file_id = await desk.send(owner, b"text")
    assert desk.contents == {file_id: b"text"}
    assert await desk.names(owner) == ["notes.txt"]


async def test_an_account_that_was_deleted_meanwhile_leaves_nothing(desk: Uploads) -> None:
    with pytest.raises(DomainError) as refused:
        await desk.send(NOBODY, b"text")
    assert refused.value.code == "account_gone"
    assert desk.contents == {}


async def test_the_quota_is_asked_before_anything_is_read(transactions: DatabaseTransactions, owner: UserId) -> None:
    desk = Uploads(transactions, quota=UploadQuota(kept_bytes=10))
    first = await desk.send(owner, b"x" * 10)
    late = Sent([b"y"])
    with pytest.raises(TooLarge) as refused:
        await desk.upload(owner, late, SERVER)
    assert (refused.value.code, late.read) == ("upload_quota_exceeded", 0)
    await desk.remove(owner, first)
    with pytest.raises(TooLarge):
        await desk.upload(owner, Sent([b"y"], at_least=11), SERVER)
    await desk.send(owner, b"y")
    with pytest.raises(TooLarge):
        await desk.send(owner, b"y" * 10)
    assert list(desk.contents.values()) == [b"y"]


@pytest.mark.parametrize(
    ("kept_bytes", "read", "code"), [(2500, 3, "upload_quota_exceeded"), (LIMIT * 2, 11, "file_too_large")]
)
async def test_the_smaller_limit_ends_an_upload_of_unknown_size_in_the_middle(
    transactions: DatabaseTransactions, owner: UserId, kept_bytes: int, read: int, code: str
) -> None:
    desk = Uploads(transactions, quota=UploadQuota(kept_bytes=kept_bytes))
    sent = Sent([b"x" * 1000] * 50)
    with pytest.raises(TooLarge) as refused:
        await desk.upload(owner, sent, SERVER)
    assert (refused.value.code, sent.read) == (code, read)
    await nothing_is_left(desk, owner)


async def test_uploads_of_an_hour_are_counted_though_they_were_removed(
    transactions: DatabaseTransactions, owner: UserId
) -> None:
    desk = Uploads(transactions, quota=UploadQuota(uploads_per_hour=2))
    await desk.remove(owner, await desk.send(owner, b"1"))
    desk.clock.pass_time(600)
    await desk.send(owner, b"2")
    with pytest.raises(TooManyRequests) as refused:
        await desk.send(owner, b"3")
    assert refused.value.code == "too_many_uploads"
    assert refused.value.retry_after == 3000
    desk.clock.pass_time(3001)
    await desk.send(owner, b"3")


async def test_uploads_at_once_do_not_pass_the_quota_together(
    transactions: DatabaseTransactions, owner: UserId
) -> None:
    desk = Uploads(transactions, quota=UploadQuota(kept_bytes=30))
    done = await asyncio.gather(*(desk.send(owner, b"x" * 10) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, str) for one in done) == 3
    assert {one.code for one in done if isinstance(one, DomainError)} == {"upload_quota_exceeded"}
    assert len(desk.contents) == 3


async def test_places_are_shared_and_come_back(transactions: DatabaseTransactions, owner: UserId) -> None:
    desk = Uploads(transactions, places=UploadPlaces(8))
    others, third = [await registered(transactions) for _ in range(3)], await registered(transactions)
    gate = asyncio.Event()
    going = [asyncio.create_task(desk.send(owner, b"x", gate=gate)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests, match="2 uploads at once"):
        await desk.send(owner, b"x")
    going += [asyncio.create_task(desk.send(other, b"x", gate=gate)) for other in others for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await desk.send(third, b"x")
    assert refused.value.code == "uploads_busy"
    gate.set()
    await asyncio.gather(*going)
    with pytest.raises(TooLarge):
        await desk.send(third, b"x" * LIMIT * 2)
    assert desk.places == UploadPlaces(8)


@given(st.integers(1, 10_000))
def test_one_user_has_a_place_and_leaves_three_quarters_to_others(most: int) -> None:
    assert 1 <= UploadPlaces(most).most_of_one <= max(1, most / 4)


async def test_files_are_found_by_their_owner_alone(desk: Uploads, owner: UserId) -> None:
    other = await registered(desk.transactions)
    file_id = await desk.send(owner, b"text")
    for refused in (desk.show(other, file_id, SERVER), desk.remove(other, file_id)):
        with pytest.raises(NotFound):
            await refused
    assert await desk.names(other) == []
    assert desk.contents == {file_id: b"text"}


async def test_a_removed_file_is_gone_though_its_storage_is_away(desk: Uploads, owner: UserId) -> None:
    file_id = await desk.send(owner, b"text")
    cast(MemoryFiles, desk.storage).down = True
    await desk.remove(owner, file_id)
    assert await desk.names(owner) == []
    with pytest.raises(NotFound):
        await desk.remove(owner, file_id)
    async with desk.transactions.autocommit() as tx:
        assert await tx.files.removed(10) == [file_id]


async def test_a_storage_that_hangs_holds_up_no_deletion(
    transactions: DatabaseTransactions, owner: UserId, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(MemoryFiles):
        async def remove(self, file_id: FileId) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(files, "EMPTIED_SECONDS", 0.05)
    desk = Uploads(transactions, Hangs())
    file_id = await desk.send(owner, b"text")
    async with asyncio.timeout(PATIENCE):
        await desk.remove(owner, file_id)
    async with transactions.autocommit() as tx:
        assert await tx.files.removed(10) == [file_id]


async def test_a_long_list_lets_others_have_their_turn(transactions: DatabaseTransactions, owner: UserId) -> None:
    signed = 0

    class Counts(MemoryFiles):
        async def link(self, file: NamedFile, expires_at: datetime, server: str) -> str:
            nonlocal signed
            signed += 1
            return await super().link(file, expires_at, server)

    async def watch() -> None:
        while True:
            turns.append(signed)
            await asyncio.sleep(0)

    desk, turns = Uploads(transactions, Counts()), list[int]()
    async with transactions.begin() as tx:
        for _ in range(107):
            await tx.files.add(file_of(owner, b"text"))
    watching = asyncio.create_task(watch())
    assert len(await desk.names(owner)) == signed == 107
    watching.cancel()
    assert [turn for turn in dict.fromkeys(turns) if turn] == [20, 40, 60, 80, 100]


async def test_a_signed_address_opens_its_file_until_it_expires(desk: Uploads, owner: UserId) -> None:
    file_id = await desk.send(owner, b"text", name="报告.txt")
    expires = int(desk.clock.now().timestamp()) + 100
    signature = SIGNER.sign(granted(file_id, "报告.txt", expires))
    served = await desk.serve(file_id, "报告.txt", str(expires), signature)
    assert [piece async for piece in served.content(1, 3)] == [b"ex"]
    for wrong in (
        ("x" + file_id[1:], "报告.txt", str(expires), signature),
        (file_id, "报告.html", str(expires), signature),
        (file_id, "报告.txt", str(expires + 1), signature),
        (file_id, "报告.txt", f"0{expires}", signature),
        (file_id, "报告.txt", f"+{expires}", signature),
        (file_id, "报告.txt", "9" * 5000, signature),
        (file_id, "报告.txt", "", signature),
        (file_id, "报告.txt", str(expires), ""),
        (file_id, "报告.txt", str(expires), signature[:-1]),
        (file_id, "报告.txt", str(expires), "签名\udcff"),
    ):
        with pytest.raises(NotFound):
            await desk.serve(FileId(wrong[0]), *wrong[1:])
    desk.clock.pass_time(101)
    with pytest.raises(Forbidden) as refused:
        await desk.serve(file_id, "报告.txt", str(expires), signature)
    assert refused.value.code == "link_expired"


async def test_an_address_of_a_removed_file_opens_nothing(desk: Uploads, owner: UserId) -> None:
    file_id = await desk.send(owner, b"text")
    expires = int(desk.clock.now().timestamp()) + 100
    await desk.remove(owner, file_id)
    with pytest.raises(NotFound):
        await desk.serve(file_id, "notes.txt", str(expires), SIGNER.sign(granted(file_id, "notes.txt", expires)))
