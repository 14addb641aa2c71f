"""The parts that the server can't work without, asked whether they work."""

from typing import Protocol


class HealthCheck(Protocol):
    """One part: the database, the storage. Asked often: cheap, and without side effects."""

    @property
    def name(self) -> str:
        """A word for operators: `database`."""
        ...

    async def check(self) -> None:
        """One round trip. Raises Unavailable."""
        ...
