"""Files of several users, any history with its upkeep: the repository agrees with a dict, and nobody sees another's."""

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import DomainError, NotFound
from domain.files.documents import ParsedDocument
from domain.files.files import StoredFile, Uploaded
from domain.ids import FileId, UserId
from stored import seconds, stored_file, user

T = TypeVar("T")
WHO = st.integers(0, 2)
WHICH = st.integers(0, 10)
MOMENTS = st.integers(0, 5)
LIMITS = st.integers(1, 3)
CONTENTS = st.sampled_from(["aa", "bb"])


@dataclass
class Kept:
    """What is known of a file that was added."""

    file: StoredFile
    has_owner: bool = True
    removed: bool = False
    has_content: bool = True

    @property
    def there(self) -> bool:
        return self.has_owner and not self.removed


class FilesOfSeveral(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.transactions = DatabaseTransactions.open(url)
        self.users: list[UserId] = []
        self.model: dict[FileId, Kept] = {}
        self.forgotten: set[FileId] = set()
        self.read: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T | str:
        """What it gave, or the code of its refusal."""
        try:
            return self.runner.run(work)
        except DomainError as refused:
            return refused.code

    def do(self, area: str, method: str, *arguments: Any, **named: Any) -> Any:
        return self.run(self.alone(area, method, *arguments, **named))

    async def alone(self, area: str, method: str, *arguments: Any, **named: Any) -> Any:
        async with self.transactions.autocommit() as tx:
            return await getattr(getattr(tx, area), method)(*arguments, **named)

    def chosen(self, which: int) -> list[Kept]:
        """One of the files, if there is any."""
        kept = list(self.model.values())
        return kept[which % len(kept) :][:1] if kept else []

    @initialize()
    def three_people_register(self) -> None:
        # What earlier examples left behind in this database is nobody's now, and swept first.
        for before in self.do("files", "removed", 10_000):
            self.do("files", "emptied", [before])
        self.do("files", "forget", seconds(99), 10_000)
        self.do("readings", "remove_unused", 10_000)
        for _ in range(3):
            self.users.append(self.register())

    def register(self) -> UserId:
        one = user()
        assert self.do("users", "add", one) is None
        return one.user_id

    @rule(who=WHO, at=MOMENTS, size=st.integers(0, 9), sha256=CONTENTS)
    def upload(self, who: int, at: int, size: int, sha256: str) -> None:
        one = stored_file(self.users[who], created_at=seconds(at), size=size, sha256=sha256)
        assert self.do("files", "add", one) is None
        self.model[one.file_id] = Kept(one)

    @rule(who=WHO, which=WHICH)
    def add_again(self, who: int, which: int) -> None:
        for kept in self.chosen(which):
            assert self.do("files", "add", replace(kept.file, user_id=self.users[who], name="again")) is None

    @rule(who=WHO, which=WHICH)
    def remove(self, who: int, which: int) -> None:
        for kept in self.chosen(which):
            mine = kept.there and kept.file.user_id == self.users[who]
            outcome = self.do("files", "remove", kept.file.file_id, seconds(9), owner=self.users[who])
            assert outcome == (None if mine else "file_not_found")
            kept.removed = kept.removed or mine

    @rule(who=WHO)
    def leave_and_come_again(self, who: int) -> None:
        gone = self.users[who]
        assert self.do("users", "remove", gone) == []
        assert self.do("files", "list", Window(), owner=gone) == "account_gone"
        assert self.do("files", "add", stored_file(gone)) == "account_gone"
        for kept in self.model.values():
            kept.has_owner = kept.has_owner and kept.file.user_id != gone
        self.users[who] = self.register()

    @rule(which=WHICH)
    def say_that_it_is_empty(self, which: int) -> None:
        for kept in self.chosen(which):
            assert self.do("files", "emptied", [kept.file.file_id]) is None
            kept.has_content = kept.has_content and kept.there

    @rule(limit=LIMITS)
    def empty_some(self, limit: int) -> None:
        left = sorted(key for key, kept in self.model.items() if kept.has_content and not kept.there)
        found = self.do("files", "removed", limit)
        assert found == left[:limit]
        assert self.do("files", "removed", limit, found[0] if found else None) == left[1 : limit + 1]
        assert self.do("files", "emptied", found) is None
        for file_id in found:
            self.model[file_id].has_content = False

    @rule(before=MOMENTS, limit=LIMITS)
    def forget(self, before: int, limit: int) -> None:
        old = {key for key, kept in self.model.items() if not kept.has_content and self.at(key) < seconds(before)}
        assert self.do("files", "forget", seconds(before), limit) == min(limit, len(old))
        dropped = set(self.model) - self.do("files", "known", list(self.model))
        assert dropped <= old
        assert max(map(self.at, dropped), default=seconds(0)) <= min(map(self.at, old - dropped), default=seconds(9))
        self.forgotten |= dropped
        for file_id in dropped:
            del self.model[file_id]

    def at(self, file_id: FileId) -> datetime:
        return self.model[file_id].file.created_at

    @rule(sha256=CONTENTS)
    def read_content(self, sha256: str) -> None:
        assert self.do("readings", "put", sha256, "p", ParsedDocument(sha256)) is None
        self.read.add(sha256)

    @rule()
    def drop_unused_readings(self) -> None:
        used = {kept.file.sha256 for kept in self.model.values() if kept.there}
        assert self.do("readings", "remove_unused", 9) == len(self.read - used)
        self.read &= used

    @invariant()
    def everyone_sees_exactly_their_own(self) -> None:
        if self.users:
            self.runner.run(self.look())

    async def look(self) -> None:
        ids = [*self.model, *self.forgotten]
        async with self.transactions.autocommit() as tx:
            for owner in self.users:
                mine = [kept.file for kept in self.model.values() if kept.file.user_id == owner]
                there = [one for one in mine if self.model[one.file_id].there]
                assert await tx.files.list(Window(), owner=owner) == newest(there)
                assert newest(await tx.files.these(ids, owner=owner)) == newest(there)
                recent = [one.created_at for one in mine if one.created_at > seconds(2)]
                expected = Uploaded(sum(one.size for one in there), len(recent), min(recent, default=None))
                assert await tx.files.uploaded(seconds(2), owner=owner) == expected
                for file_id in ids[-4:]:
                    found = await seen(tx.files.get(file_id, owner=owner))
                    assert found == ([self.model[file_id].file] if file_id in {one.file_id for one in there} else [])
            for file_id in ids[-4:]:
                kept = self.model.get(file_id)
                assert await seen(tx.files.signed(file_id)) == ([kept.file] if kept and kept.there else [])
            assert await tx.files.known(ids) == set(self.model)
            assert set(await tx.readings.get(["aa", "bb"], "p")) == self.read

    def teardown(self) -> None:
        for one in self.users:
            self.do("users", "remove", one)
        self.runner.run(self.transactions.aclose())
        self.runner.close()


async def seen(reading: Awaitable[StoredFile]) -> list[StoredFile]:
    try:
        return [await reading]
    except NotFound:
        return []


def newest(files: Any) -> list[StoredFile]:
    return sorted(files, key=lambda one: (one.created_at, one.file_id), reverse=True)


def test_any_history_of_files(database_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: FilesOfSeveral(database_url), settings=settings(max_examples=12, stateful_step_count=30)
    )
