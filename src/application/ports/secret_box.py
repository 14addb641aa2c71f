"""The conversation with what encrypts what must lie in the database: others' keys and passwords."""

from typing import Protocol


class SecretBroken(Exception):
    """It was sealed under a key that this server does not have, or changed since."""


class SecretBox(Protocol):
    """Under keys that are not in the database; the first seals, every one opens."""

    def seal(self, text: str) -> str:
        """ASCII, other for the same text each time."""
        ...

    def open(self, sealed: str) -> str:
        """Raises SecretBroken."""
        ...

    def renewed(self, sealed: str) -> str | None:
        """The same text, sealed under the first key; None where it is already. Raises SecretBroken."""
        ...
