"""Which parts of a tool's credentials its server must not tell the model."""

from collections.abc import Iterator
from typing import Final

from domain.tools.credentials import Credentials
from domain.tools.masking import Mask, proofs_in

MASK: Final = "***"


def mask_of(credentials: Credentials) -> Mask:
    return Mask(_secrets(credentials), MASK)


def _secrets(credentials: Credentials) -> Iterator[str]:
    for _, value in (*credentials.headers, *credentials.query):
        yield value
        scheme, _, rest = value.partition(" ")
        if rest:
            yield from proofs_in(scheme, rest)
