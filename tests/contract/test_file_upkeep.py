"""The upkeep of files removes what nobody finds any more, and nothing else, whatever fails meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from application.files import file_upkeep
from application.files.file_ids import time_prefix
from application.files.file_upkeep import SweepFiles
from domain.errors import Unavailable
from domain.files.documents import ParsedDocument
from domain.ids import FileId, UserId, new_id
from file_desk import MemoryFiles, file_of
from meddled import Meddled
from patience import PATIENCE
from stored import NOW as UPLOADED_AT
from stored import registered

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def made_at(moment: datetime) -> FileId:
    return FileId(time_prefix(moment) + new_id()[10:])


class Windowed(MemoryFiles):
    """Shows what was written in the window, as storages do. What is `stuck` can't be removed."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck: set[FileId] = set()
        self.asked = 0

    async def remove(self, file_id: FileId) -> None:
        self.asked += 1
        if file_id in self.stuck:
            raise Unavailable("storage_unavailable", "This one may not be removed.")
        await super().remove(file_id)

    async def written_between(self, begin: datetime, end: datetime) -> Any:
        self._refuse_down()
        for file_id in list(self.contents):
            if time_prefix(begin) <= file_id[:10] < time_prefix(end):
                yield file_id


class Sweeping:
    def __init__(self, transactions: Any) -> None:
        self.transactions, self.storage = transactions, Windowed()
        self.troubles: list[Exception] = []
        self.clock = SetClock(NOW)
        self.sweep = SweepFiles(transactions, self.storage, self.clock, self.troubles.append)

    async def add(self, owner: UserId, content: bytes = b"text") -> FileId:
        file = file_of(owner, content)
        self.storage.contents[file.file_id] = content
        async with self.transactions.autocommit() as tx:
            await tx.files.add(file)
        return file.file_id

    async def remove(self, owner: UserId, *file_ids: FileId) -> None:
        async with self.transactions.autocommit() as tx:
            for file_id in file_ids:
                await tx.files.remove(file_id, NOW, owner=owner)

    async def known(self, *file_ids: FileId) -> Sequence[FileId]:
        async with self.transactions.autocommit() as tx:
            found = await tx.files.known(file_ids)
        return [file_id for file_id in file_ids if file_id in found]


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> Sweeping:
    return Sweeping(transactions)


async def test_removed_files_lose_content_and_row_and_others_nothing(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    kept, gone = await desk.add(owner), await desk.add(owner)
    await desk.remove(owner, gone)
    await desk.sweep.once()
    assert list(desk.storage.contents) == [kept]
    assert await desk.known(kept, gone) == [kept]
    await desk.sweep.once()
    assert list(desk.storage.contents) == [kept]


async def test_rows_of_the_last_hour_stay_for_they_are_counted(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    gone = await desk.add(owner)
    await desk.remove(owner, gone)
    desk.clock.moment = UPLOADED_AT + timedelta(minutes=59)
    await desk.sweep.once()
    assert desk.storage.contents == {}
    assert await desk.known(gone) == [gone]
    desk.clock.moment = UPLOADED_AT + timedelta(minutes=61)
    await desk.sweep.once()
    assert await desk.known(gone) == []


async def test_files_of_a_deleted_account_go(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    await desk.add(owner)
    async with desk.transactions.begin() as tx:
        await tx.users.remove(owner)
    await desk.sweep.once()
    assert desk.storage.contents == {}


@settings(max_examples=25)
@given(ages=st.lists(st.tuples(st.floats(0, 72), st.booleans()), max_size=8))
async def test_only_old_contents_without_a_row_are_orphans(
    transactions: DatabaseTransactions, ages: list[tuple[float, bool]]
) -> None:
    assume(all(abs(hours - edge) > 0.001 for hours, _ in ages for edge in (6, 48)))
    desk = Sweeping(transactions)
    owner = await registered(transactions)
    expected = set()
    for hours, has_row in ages:
        file_id = made_at(NOW - timedelta(hours=hours))
        desk.storage.contents[file_id] = b"x"
        if has_row:
            async with transactions.autocommit() as tx:
                await tx.files.add(replace(file_of(owner, b"x"), file_id=file_id))
        if has_row or not 6 < hours < 48:
            expected.add(file_id)
    await desk.sweep.once()
    assert set(desk.storage.contents) == expected


async def test_more_than_one_portion_is_removed_at_once(desk: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_upkeep, "AT_ONCE", 3)
    owner = await registered(desk.transactions)
    gone = [await desk.add(owner) for _ in range(10)]
    await desk.remove(owner, *gone)
    orphans = [made_at(NOW - timedelta(hours=7)) for _ in range(7)]
    desk.storage.contents.update(dict.fromkeys(orphans, b"x"))
    await desk.sweep.once()
    assert desk.storage.contents == {}
    assert await desk.known(*gone) == []


@settings(max_examples=15)
@given(stuck=st.lists(st.booleans(), min_size=1, max_size=9))
async def test_what_can_not_be_removed_hides_nothing_behind_it(
    transactions: DatabaseTransactions, stuck: list[bool]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_upkeep, "AT_ONCE", 3)
        desk = Sweeping(transactions)
        owner = await registered(transactions)
        gone = sorted([await desk.add(owner) for _ in stuck])
        orphans = [made_at(NOW - timedelta(hours=7)) for _ in stuck]
        desk.storage.contents.update(dict.fromkeys(orphans, b"x"))
        await desk.remove(owner, *gone)
        held = [one for ids in (gone, orphans) for one, is_stuck in zip(ids, stuck, strict=True) if is_stuck]
        desk.storage.stuck = set(held)
        if held:
            with pytest.raises(Unavailable, match="may not be removed"):
                await desk.sweep.once()
        else:
            await desk.sweep.once()
        assert set(desk.storage.contents) == set(held)
        assert await desk.known(*gone) == [one for one in gone if one in held]
        desk.storage.stuck.clear()
        await desk.sweep.once()
        assert desk.storage.contents == {}
        assert await desk.known(*gone) == []


async def test_a_storage_that_is_away_is_not_asked_for_each_file(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    await desk.remove(owner, *[await desk.add(owner) for _ in range(20)])
    desk.storage.down = True
    with pytest.raises(Unavailable):
        await desk.sweep.once()
    assert desk.storage.asked == 1


async def test_readings_of_contents_that_are_gone_go_too(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    kept, gone = file_of(owner, b"kept"), file_of(owner, b"gone")
    async with desk.transactions.autocommit() as tx:
        for file in (kept, gone):
            await tx.files.add(file)
            await tx.readings.put(file.sha256, "p1", ParsedDocument("text", ()))
    await desk.remove(owner, gone.file_id)
    await desk.sweep.once()
    async with desk.transactions.autocommit() as tx:
        assert set(await tx.readings.get([kept.sha256, gone.sha256], "p1")) == {kept.sha256}


async def test_two_processes_that_sweep_at_once_do_no_harm(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    kept, gone = await desk.add(owner), [await desk.add(owner) for _ in range(5)]
    await desk.remove(owner, *gone)
    orphan = made_at(NOW - timedelta(hours=7))
    desk.storage.contents[orphan] = b"x"
    await asyncio.gather(*(desk.sweep.once() for _ in range(4)))
    assert list(desk.storage.contents) == [kept]


async def test_a_storage_that_is_away_keeps_no_reading_alive_and_loses_no_row(desk: Sweeping) -> None:
    owner = await registered(desk.transactions)
    gone, unused = await desk.add(owner), file_of(owner, b"unused")
    await desk.remove(owner, gone)
    async with desk.transactions.autocommit() as tx:
        await tx.readings.put(unused.sha256, "p1", ParsedDocument("text", ()))
    desk.storage.down = True
    with pytest.raises(Unavailable):
        await desk.sweep.once()
    assert await desk.known(gone) == [gone]
    async with desk.transactions.autocommit() as tx:
        assert not await tx.readings.get([unused.sha256], "p1")
    desk.storage.down = False
    await desk.sweep.once()
    assert desk.storage.contents == {}


async def test_the_upkeep_outlives_an_outage(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_upkeep, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(file_upkeep, "EVERY_SECONDS", 0.01)
    meddled = Meddled(transactions)
    desk = Sweeping(meddled)
    owner = await registered(transactions)
    gone = await desk.add(owner)
    await desk.remove(owner, gone)

    async def fails(*_: object, **__: object) -> None:
        if len(desk.troubles) < 3:
            raise Unavailable("database_unavailable", "away")
        meddled.instead.clear()
        return cast(None, [])

    meddled.instead["files.removed"] = fails
    sweeping = asyncio.create_task(desk.sweep.forever())
    async with asyncio.timeout(PATIENCE):
        while desk.storage.contents:
            await asyncio.sleep(0.01)
    assert len(desk.troubles) == 3
    sweeping.cancel()
    await asyncio.wait({sweeping})


async def test_a_trouble_that_lasts_is_looked_at_less_and_less_often(
    desk: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            raise asyncio.CancelledError

    desk.storage.down = True
    monkeypatch.setattr(file_upkeep.random, "uniform", lambda *_: 1.0)
    monkeypatch.setattr(file_upkeep.asyncio, "sleep", noted)
    with pytest.raises(asyncio.CancelledError):
        await desk.sweep.forever()
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


async def test_the_first_look_of_a_process_goes_further_back(transactions: DatabaseTransactions) -> None:
    desk = Sweeping(transactions)
    old, older = made_at(NOW - timedelta(days=20)), made_at(NOW - timedelta(days=40))
    desk.storage.contents.update({old: b"x", older: b"x"})
    await desk.sweep.once()
    assert set(desk.storage.contents) == {old, older}
    looking = asyncio.create_task(desk.sweep.forever())
    async with asyncio.timeout(PATIENCE):
        while old in desk.storage.contents:
            await asyncio.sleep(0.01)
    looking.cancel()
    assert set(desk.storage.contents) == {older}
