"""One file after another in a base, whose work may break off anywhere."""

from collections.abc import Awaitable, Callable
from typing import Any

from adapters.database.transactions import DatabaseTransactions
from domain.ids import UserId
from domain.knowledge.knowledge import IngestionStatus, KnowledgeBase, KnowledgeFile
from knowledge_desk import KnowledgeDesk, Watched, text_of
from stored import registered

TEXT = text_of(5)
ENDLESS = 10_000
"""More points than any work has."""

Chunks = list[tuple[Any, ...]]


class Scene:
    """A base of somebody's in which one file after another is put, and what an undisturbed run makes of it."""

    def __init__(self, desk: KnowledgeDesk, owner: UserId, base: KnowledgeBase, undisturbed: Chunks) -> None:
        self.desk, self.owner, self.base, self.undisturbed = desk, owner, base, undisturbed

    @classmethod
    async def made(cls, transactions: DatabaseTransactions) -> "Scene":
        desk = KnowledgeDesk(transactions)
        owner = await registered(transactions)
        base = await desk.base(owner)
        file = await desk.file(owner, base, TEXT)
        await desk.run()
        return cls(desk, owner, base, await desk.chunks(file))

    def points(self, count: int) -> range:
        """All of them on SQLite; there each is cheap, and what happens is the same on both but for locks."""
        return range(1, count + 1, 1 if self.desk.transactions.database.dialect == "sqlite" else 4)

    async def file(self) -> KnowledgeFile:
        return await self.desk.file(self.owner, self.base, TEXT)

    async def assert_as_undisturbed(self, file: KnowledgeFile) -> None:
        done = await self.desk.now(file)
        assert (done.status, done.error, done.chunks) == (IngestionStatus.SUCCESS, None, len(self.undisturbed))
        assert await self.desk.chunks(file) == self.undisturbed


async def points_of(scene: Scene, work: Callable[[KnowledgeDesk], Awaitable[object]], *, inside: bool) -> int:
    """How many points a piece of work has."""
    counting = Watched(scene.desk.transactions, ENDLESS, never, inside=inside)
    await work(scene.desk.process(database=counting))
    assert 8 < counting.points < 200
    return counting.points


async def never() -> None:
    raise AssertionError("nobody comes here")
