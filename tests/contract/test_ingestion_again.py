"""A file that is put in once more, or begun anew: nothing stands in a base twice, and nothing is lost."""

import asyncio

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.errors import ModelError
from domain.ids import UserId
from domain.knowledge import IngestionStatus, KnowledgeBase, KnowledgeFile
from knowledge_desk import KnowledgeDesk, text_of
from stored import registered

TEXT = text_of(10)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> KnowledgeDesk:
    return KnowledgeDesk(transactions)


async def files_of(desk: KnowledgeDesk, base: KnowledgeBase) -> list[KnowledgeFile]:
    async with desk.transactions.autocommit() as tx:
        return [*await tx.knowledge_files.list(base.knowledge_id, Window(), owner=base.user_id)]


async def an_upload(desk: KnowledgeDesk) -> tuple[UserId, KnowledgeBase, str]:
    owner = await registered(desk.transactions)
    return owner, await desk.base(owner), await desk.upload(owner, TEXT)


async def test_the_same_upload_is_in_a_base_once_however_often_it_is_put_in(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    first = await desk.add(owner, base.knowledge_id, url)
    assert await desk.add(owner, base.knowledge_id, url) == first
    assert await desk.queue.waiting() == 1
    await desk.run()
    done = await desk.now(first)
    assert done.status is IngestionStatus.SUCCESS
    assert await desk.add(owner, base.knowledge_id, url) == done
    assert await desk.queue.waiting() == 0
    assert await files_of(desk, base) == [done]
    assert len(await desk.chunks(done)) == done.chunks


async def test_put_in_at_once_it_is_there_once(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    added = await asyncio.gather(*(desk.add(owner, base.knowledge_id, url) for _ in range(6)))
    assert len({file.knowledge_file_id for file in added}) == 1
    assert len(await files_of(desk, base)) == 1


async def test_put_in_again_a_failed_file_begins_anew(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    file = await desk.add(owner, base.knowledge_id, url)
    desk.embedder.refuse = lambda _: ModelError("model_auth_failed", "No.")
    await desk.run()
    desk.embedder.refuse = None
    again = await desk.add(owner, base.knowledge_id, url)
    assert (again.knowledge_file_id, again.status) == (file.knowledge_file_id, IngestionStatus.PROCESS)
    await desk.run()
    assert [one.status for one in await files_of(desk, base)] == [IngestionStatus.SUCCESS]


async def test_what_was_taken_out_can_be_put_in_again(desk: KnowledgeDesk) -> None:
    owner, base, url = await an_upload(desk)
    first = await desk.add(owner, base.knowledge_id, url)
    await desk.delete_file(owner, first.knowledge_file_id)
    second = await desk.add(owner, base.knowledge_id, url)
    await desk.run()
    assert second.knowledge_file_id != first.knowledge_file_id
    assert [one.knowledge_file_id for one in await files_of(desk, base)] == [second.knowledge_file_id]
