"""A server that ends a connection says so first. A statement may come between that word and the connection's end."""

import asyncpg
import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.jobs import PostgresJobs
from domain.agents.agents import DEFAULT_AGENT
from domain.errors import NotFound
from domain.ids import DialogId
from job_desk import job, through
from servers.postgres import Postgres
from servers.tcp_proxy import TcpProxy
from stored import registered

FIELDS = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
FAREWELL = b"E" + (len(FIELDS) + 4).to_bytes(4) + FIELDS


async def says_farewell(proxy: TcpProxy, url: str) -> None:
    """And keeps the connections open. All have heard it: a whole conversation passes after it."""
    await proxy.say(FAREWELL)
    sql = await asyncpg.connect(url)
    await sql.execute("SELECT 1")
    await sql.close()


async def test_a_job_is_put_on_another_connection(postgres: Postgres, postgres_url: str) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = through(proxy.port, postgres_url)
        table = PostgresJobs(lambda: asyncpg.connect(url))
        await table.put(job("a"))
        await says_farewell(proxy, url)
        await table.put(job("b"))
        assert await table.waiting() == 2
        await table.aclose()


@pytest.mark.parametrize("way", ["read", "write", "transaction"])
async def test_a_request_is_served_on_another_connection(postgres: Postgres, postgres_url: str, way: str) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = through(proxy.port, postgres_url)
        transactions = DatabaseTransactions.open(url, pool_size=2)
        owner = await registered(transactions)
        await transactions.ping()
        await says_farewell(proxy, url)
        if way == "transaction":
            await registered(transactions)
        async with transactions.autocommit() as tx:
            if way == "write":
                # The write is what finds nothing: it was sent.
                with pytest.raises(NotFound):
                    await tx.dialogs.remove(DialogId("none"), owner=owner)
            assert await tx.agents.get(DEFAULT_AGENT, owner=owner)
        await transactions.aclose()
