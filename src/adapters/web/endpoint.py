"""What one provider's protocol must tell, so that its streams can be followed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from domain.conversation.conversation import ModelEvent, ModelFinished, ModelRequest

if TYPE_CHECKING:
    import httpx2


class AnswerReader(Protocol):
    """Understands the events of one answer."""

    @property
    def stopped(self) -> bool:
        """The provider said why the answer stops. Usage may still come."""
        ...

    @property
    def ended(self) -> bool:
        """The provider said that nothing more comes."""
        ...

    def read(self, payloads: Sequence[bytes], events: list[ModelEvent]) -> None:
        """Append the deltas in these payloads, adjacent text joined.

        Raises ModelError for an error event or garbage, after appending what came before it.
        """
        ...

    def finished(self) -> ModelFinished:
        """The last event, once `stopped`."""
        ...


class ChatEndpoint(Protocol):
    """Opens answers at one provider, through its SDK."""

    async def open(self, request: ModelRequest, *, connect_seconds: float) -> "httpx2.Response":
        """A streaming response, body unread. Raises ModelError, `retryable` when another attempt may succeed."""
        ...

    def reader(self, request: ModelRequest) -> AnswerReader:
        """For the answer to that."""
        ...

    def warm_up(self) -> None:
        """Import the SDK (seconds of CPU) and make the client. Safe in any thread, and more than once."""
        ...
