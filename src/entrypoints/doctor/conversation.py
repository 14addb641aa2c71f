"""Asking the offline model over HTTP. Whatever ends the reading, no answer goes on behind it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import msgspec

from entrypoints.doctor.events import EventReader
from entrypoints.doctor.remote import Answer, Remote, Unreachable, bearer
from entrypoints.doctor.subject import Subject, Visitor

STOP_SECONDS: Final = 2.0


class Refused(Exception):
    """No stream came: the message says what did."""


@dataclass(slots=True)
class Asked:
    """A stream that has begun. `ended`: say so when its last frame came, else the run is stopped."""

    events: EventReader
    headers: Mapping[str, str]
    asked_at: float
    ended: bool = False

    @property
    def run_id(self) -> str:
        return self.headers.get("X-Run-ID", "")


@dataclass(frozen=True, slots=True)
class Conversation:
    """In a dialog of its own."""

    remote: Remote
    visitor: Visitor
    dialog_id: str

    @classmethod
    def of(cls, subject: Subject, dialog_id: str) -> "Conversation":
        return cls(subject.remote, subject.guest, f"doctor-{dialog_id}")

    @asynccontextmanager
    async def ask(self, question: str) -> AsyncIterator[Asked]:
        """Raises Refused and Unreachable."""
        given = {"user_input": question, "dialog_id": self.dialog_id, "agent_id": self.visitor.agent_id}
        headers = bearer(self.visitor.token) | {"Content-Type": "application/json", "Accept": "text/event-stream"}
        begun = perf_counter()
        async with self.remote.open("POST", "/api/v1/chat", headers, msgspec.json.encode(given)) as response:
            if response.status != 200:
                raise Refused(f"the question is refused (status {response.status})")
            asked = Asked(EventReader(response), response.headers, begun)
            try:
                yield asked
            finally:
                if not asked.ended:
                    with suppress(Unreachable, TimeoutError):
                        async with asyncio.timeout(STOP_SECONDS):
                            await self.stop()

    @asynccontextmanager
    async def follow(self, run_id: str, after: str) -> AsyncIterator[EventReader]:
        """Raises Refused and Unreachable."""
        headers = bearer(self.visitor.token) | {"Last-Event-ID": after, "Accept": "text/event-stream"}
        async with self.remote.open("GET", f"/api/v1/chat/{run_id}/events", headers) as response:
            if response.status != 200:
                raise Refused(f"the stream can't be taken up again (status {response.status})")
            yield EventReader(response)

    async def stop(self, run_id: str = "") -> Answer:
        named = {"run_id": run_id} if run_id else {"dialog_id": self.dialog_id}
        return await self.remote.post("/api/v1/chat/stop", named, self.visitor.token)
