"""Bases, files and chunks of two users, any history with its upkeep: the repositories agree with a model, nobody sees
another's, and when all is removed and purged nothing is left."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import DomainError
from domain.ids import UserId
from domain.knowledge.knowledge import IngestionStatus, KnowledgeBase, KnowledgeFile, Stage
from stored import NOW, seconds, user
from stored_knowledge import MODEL, PLAN, knowledge, knowledge_file, left, new_chunk

T = TypeVar("T")
WHO = st.integers(0, 1)
WHICH = st.integers(0, 10)
TERMS = ("a", "b", "c")


@dataclass
class KeptFile:
    file: KnowledgeFile
    base: "KeptBase"
    removed: bool = False
    ordinals: set[int] = field(default_factory=set)

    @property
    def there(self) -> bool:
        return self.base.there and not self.removed

    @property
    def at_work(self) -> bool:
        return self.there and self.file.status is IngestionStatus.PROCESS


@dataclass
class KeptBase:
    base: KnowledgeBase
    has_owner: bool = True
    removed: bool = False

    @property
    def there(self) -> bool:
        return self.has_owner and not self.removed


class KnowledgeOfTwo(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.transactions = DatabaseTransactions.open(url)
        self.users: list[UserId] = []
        self.bases: list[KeptBase] = []
        self.files: list[KeptFile] = []
        self.shown: dict[tuple[str, int], float] = {}
        """The progress of each file that was seen last, by how often it was begun anew."""

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

    def file(self, which: int) -> list[KeptFile]:
        return self.files[which % len(self.files) :][:1] if self.files else []

    def base(self, which: int) -> list[KeptBase]:
        return self.bases[which % len(self.bases) :][:1] if self.bases else []

    @initialize()
    def two_people_register(self) -> None:
        self.users = [self.register() for _ in range(2)]

    def register(self) -> UserId:
        one = user()
        assert self.do("users", "add", one) is None
        return one.user_id

    @rule(who=WHO)
    def create(self, who: int) -> None:
        one = knowledge(self.users[who])
        assert self.do("knowledge", "add", one) is None
        self.bases.append(KeptBase(one))

    @rule(who=WHO, which=WHICH)
    def add_file(self, who: int, which: int) -> None:
        for kept in self.base(which):
            owner = self.users[who]
            one = knowledge_file(replace(kept.base, user_id=owner))
            mine = kept.there and kept.base.user_id == owner
            assert self.do("knowledge_files", "add", one) == (one if mine else "knowledge_not_found")
            if mine:
                self.files.append(KeptFile(one, kept))

    @rule(which=WHICH, first=st.integers(0, 4), number=st.integers(0, 3), stale=st.booleans())
    def add_chunks(self, which: int, first: int, number: int, stale: bool) -> None:
        for kept in self.file(which):
            given = replace(kept.file, generation=kept.file.generation - stale)
            new = [new_chunk(at, TERMS[at % 3]) for at in range(first, first + number)]
            may = kept.at_work and not stale and kept.file.plan is not None
            assert self.do("chunks", "add", given, new, MODEL, seconds(1)) is may
            if may:
                kept.ordinals |= {one.ordinal for one in new}
                kept.file = replace(kept.file, chunks=len(kept.ordinals), updated_at=seconds(1))

    @rule(which=WHICH, status=st.sampled_from(IngestionStatus))
    def record(self, which: int, status: IngestionStatus) -> None:
        for kept in self.file(which):
            then = replace(kept.file, status=status, stage=Stage.EMBED, plan=PLAN, updated_at=seconds(2))
            assert self.do("knowledge_files", "record", then) is kept.at_work
            kept.file = then if kept.at_work else kept.file

    @rule(who=WHO, which=WHICH)
    def retry(self, who: int, which: int) -> None:
        for kept in self.file(which):
            given = self.do("knowledge_files", "retry", kept.file.knowledge_file_id, NOW, owner=self.users[who])
            if not kept.there or kept.file.user_id != self.users[who]:
                assert given == "knowledge_file_not_found"
            elif kept.file.status is IngestionStatus.PROCESS:
                assert given == "knowledge_file_at_work"
            else:
                kept.file = replace(
                    kept.file,
                    status=IngestionStatus.PROCESS,
                    stage=Stage.QUEUED,
                    generation=kept.file.generation + 1,
                    updated_at=NOW,
                )
                assert given == kept.file

    @rule(who=WHO, which=WHICH)
    def remove_file(self, who: int, which: int) -> None:
        for kept in self.file(which):
            mine = kept.there and kept.file.user_id == self.users[who]
            outcome = self.do("knowledge_files", "remove", kept.file.knowledge_file_id, NOW, owner=self.users[who])
            assert outcome == (None if mine else "knowledge_file_not_found")
            kept.removed = kept.removed or mine

    @rule(who=WHO, which=WHICH)
    def remove_base(self, who: int, which: int) -> None:
        for kept in self.base(which):
            mine = kept.there and kept.base.user_id == self.users[who]
            outcome = self.do("knowledge", "remove", kept.base.knowledge_id, NOW, owner=self.users[who])
            assert outcome == (None if mine else "knowledge_not_found")
            kept.removed = kept.removed or mine

    @rule(who=WHO)
    def leave_and_come_again(self, who: int) -> None:
        gone = self.users[who]
        theirs = {kept.base.knowledge_id for kept in self.bases if kept.there and kept.base.user_id == gone}
        assert {*self.do("users", "remove", gone)} >= theirs
        assert self.do("knowledge", "list", Window(), owner=gone) == "account_gone"
        for kept in self.bases:
            kept.has_owner = kept.has_owner and kept.base.user_id != gone
        self.users[who] = self.register()

    @rule(which=WHICH, limit=st.integers(1, 3))
    def remove_some_chunks(self, which: int, limit: int) -> None:
        for kept in self.file(which):
            gone = sorted(kept.ordinals)[-limit:]
            assert self.do("chunks", "remove_of_file", kept.file.knowledge_file_id, limit) == len(gone)
            kept.ordinals -= {*gone}
            kept.file = replace(kept.file, chunks=len(kept.ordinals))

    @rule()
    def purge(self) -> None:
        """What is gone goes; what is there is not forgotten, whoever asks for it."""
        gone = [kept for kept in self.files if not kept.there]
        expected = sorted(kept.file.knowledge_file_id for kept in gone)
        assert sorted(self.do("knowledge_files", "removed", 999)) == expected
        for kept in self.files:
            if not kept.there:
                while self.do("chunks", "remove_of_file", kept.file.knowledge_file_id, 2):
                    pass
            assert self.do("knowledge_files", "forget", kept.file.knowledge_file_id) is not kept.there
        bases = sorted(kept.base.knowledge_id for kept in self.bases if not kept.there)
        assert self.do("knowledge", "removed", 999) == bases
        for base in self.bases:
            assert self.do("knowledge", "forget", base.base.knowledge_id) is not base.there
        self.files = [kept for kept in self.files if kept.there]
        self.bases = [kept for kept in self.bases if kept.there]

    @invariant()
    def everyone_sees_exactly_their_own(self) -> None:
        if self.users:
            self.runner.run(self.look())

    async def look(self) -> None:
        ids = [kept.base.knowledge_id for kept in self.bases]
        hits = await self.transactions.lexical().search(TERMS, ids, 9999)
        async with self.transactions.autocommit() as tx:
            for owner in self.users:
                mine = [kept for kept in self.files if kept.there and kept.file.user_id == owner]
                bases = {kept.base.knowledge_id: kept for kept in self.bases if kept.there}
                listed = await tx.knowledge.list(Window(), owner=owner)
                assert {one.knowledge_id for one in listed} == {
                    one for one, kept in bases.items() if kept.base.user_id == owner
                }
                for one in listed:
                    files = [kept.file for kept in mine if kept.base.base.knowledge_id == one.knowledge_id]
                    assert (one.files, one.size) == (len(files), sum(file.size for file in files))
                    stored = await tx.knowledge_files.list(one.knowledge_id, Window(), owner=owner)
                    assert {file.knowledge_file_id: file for file in stored} == {
                        file.knowledge_file_id: file for file in files
                    }
                    for file in stored:
                        seen = file.knowledge_file_id, file.generation
                        assert file.progress >= self.shown.get(seen, 0.0)
                        self.shown[seen] = file.progress
                assert await tx.knowledge_files.unfinished(owner=owner) == sum(kept.at_work for kept in mine)
                shown = await tx.chunks.shown([hit.chunk_id for hit in hits], owner=owner)
                assert {(one.knowledge_file_id, one.ordinal) for one in shown} == {
                    (kept.file.knowledge_file_id, ordinal) for kept in mine for ordinal in kept.ordinals
                }

    def teardown(self) -> None:
        for one in self.users:
            self.do("users", "remove", one)
        for kept in self.bases:
            kept.has_owner = False
        self.purge()
        assert self.runner.run(left(self.transactions)) == {}
        self.runner.run(self.transactions.aclose())
        self.runner.close()


def test_any_history_of_knowledge(database_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: KnowledgeOfTwo(database_url), settings=settings(max_examples=10, stateful_step_count=30)
    )
