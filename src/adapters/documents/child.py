"""The child's own loop: a question with a descriptor in, an answer out, until the parent is gone."""

import gc
import os
import socket
import sys
import traceback
from typing import BinaryIO, Final

import msgspec

from adapters.documents.confinement import clear_alarm, confine, peak_memory, set_alarm
from adapters.documents.limits import ParserLimits
from adapters.documents.messages import (
    MAX_QUESTION,
    Answer,
    Parsed,
    Pictured,
    Question,
    Ready,
    Refused,
    decode_question,
    framed,
)
from adapters.documents.reading import picture, read
from application.ports.document_parser import DocumentRefused
from domain.files.files import FileKind

_TOO_MUCH_MEMORY: Final = "needs more memory to be read than one document may take"
_INHERITED: Final = 1024
"""Some event loops leave a second copy of each of a child's ends open."""
_BROKEN: Final = "is damaged, or it isn't what its kind says"


def main() -> None:
    """Arguments: where the code lies (taken already), the parent's process id, the limits as JSON."""
    limits = msgspec.json.decode(sys.argv[3], type=ParserLimits)
    answers = _own_output()
    confine(int(sys.argv[2]), limits)
    _send(answers, framed(Ready()))
    known = set[str]()
    with socket.socket(fileno=0) as questions:
        while True:
            body, descriptors, _flags, _address = socket.recv_fds(questions, MAX_QUESTION, 1)
            if not body or not descriptors:
                return
            set_alarm(limits)
            question = decode_question(body)
            with os.fdopen(descriptors[0], "rb") as content:
                answer = answer_to(question, content, limits)
            _send(answers, framed(answer))
            clear_alarm()
            del answer
            gc.collect()
            if question.kind not in known:
                # The libraries that this kind needs stay: to look through them each time takes 30 ms a document.
                known.add(question.kind)
                gc.freeze()


def answer_to(question: Question, content: BinaryIO, limits: ParserLimits) -> Answer:
    number, kind = question.number, FileKind(question.kind)
    try:
        if question.task == "picture":
            image = picture(kind, content)
            return Pictured(number, peak_memory(), image)
        document = read(kind, content, limits)
        return Parsed(number, peak_memory(), document)
    except DocumentRefused as refused:
        return Refused(number, peak_memory(), refused.code, refused.reason)
    except MemoryError:
        return Refused(number, peak_memory(), "file_too_complex", _TOO_MUCH_MEMORY)
    except Exception:  # noqa: BLE001 - whatever a library makes of a stranger's bytes
        traceback.print_exc(limit=-5)
        return Refused(number, peak_memory(), "file_broken", _BROKEN)


def _own_output() -> int:
    """What a library prints must not get among the answers: it goes where errors go."""
    os.closerange(3, _INHERITED)
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _send(answers: int, message: bytes) -> None:
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(answers, rest) :]
