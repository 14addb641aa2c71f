"""How much work SQLite does, whatever the clock says: it holds up the event loop meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection

from adapters.database.transactions import DatabaseTransactions


class Steps:
    """Of SQLite's machine, in all statements on all connections. `longest` is the statement that took the most."""

    def __init__(self, database: DatabaseTransactions) -> None:
        self.count = self.longest = self._of_this = 0
        self._engines = database.database.engines
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._begin)

    def _begin(self, connection: Connection, *_: Any) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        self._of_this = 0
        driver.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.count += 1
        self._of_this += 1
        self.longest = max(self.longest, self._of_this)
        return 0

    async def of(self, work: Callable[[], Awaitable[object]]) -> int:
        await work()
        before = self.count
        await work()
        return self.count - before
