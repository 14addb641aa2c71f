"""What a child that was taken over might say. Run as a program: its first argument is the lie."""

import os
import pickle
import socket
import sys
from dataclasses import replace

from adapters.documents.messages import (
    HEAD,
    Answer,
    Parsed,
    Pictured,
    Question,
    Ready,
    Refused,
    decode_question,
    framed,
)
from domain.conversation.conversation import Image
from domain.files.documents import Heading, Page, ParsedDocument, Table

GOOD = ParsedDocument("four\n\n| x |", (Page(1, "page 1", 0, 4),), (Heading(1, "four", 0),), (Table(6, 11),))


def documents() -> dict[str, ParsedDocument]:
    return {
        "page beyond the end": replace(GOOD, pages=(Page(1, "page 1", 0, 12),)),
        "page that ends before it begins": replace(GOOD, pages=(Page(1, "page 1", 3, 2),)),
        "pages over each other": replace(GOOD, pages=(Page(1, "a", 0, 5), Page(2, "b", 4, 6))),
        "pages out of order": replace(GOOD, pages=(Page(2, "b", 0, 2), Page(1, "a", 3, 6))),
        "page without a label": replace(GOOD, pages=(Page(1, "", 0, 4),)),
        "label of two lines": replace(GOOD, pages=(Page(1, "a\nb", 0, 4),)),
        "negative heading": replace(GOOD, headings=(Heading(1, "four", -1),)),
        "heading of level 7": replace(GOOD, headings=(Heading(7, "four", 0),)),
        "long title": replace(GOOD, headings=(Heading(1, "x" * 5000, 0),)),
        "headings out of order": replace(GOOD, headings=(Heading(1, "a", 6), Heading(1, "b", 0))),
        "tables over each other": replace(GOOD, tables=(Table(0, 6), Table(5, 11))),
        "a NUL": replace(GOOD, text="a\0b"),
        "too long": ParsedDocument("x" * 6_000_000),
        "too many pages": ParsedDocument("x", tuple(Page(n, "p", 0, 0) for n in range(1, 1002))),
        "a cut of many lines": replace(GOOD, cut="a\nb"),
    }


def lie(name: str, question: Question) -> bytes:
    number = question.number
    if name in documents():
        return framed(Parsed(number, 0, documents()[name]))
    answers: dict[str, Answer] = {
        "truth": Parsed(number, 0, GOOD),
        "another number": Parsed(number + 1, 0, GOOD),
        "a picture": Pictured(number, 0, Image("image/png", b"\x89PNG\r\n\x1a\n")),
        "a page as picture": Pictured(number, 0, Image("text/html", b"<script>")),
        "unknown code": Refused(number, 0, "admin_only", "no"),
        "reason of many lines": Refused(number, 0, "file_broken", "a\nb"),
        "endless reason": Refused(number, 0, "file_broken", "a" * 1000),
    }
    if name in answers:
        return framed(answers[name])
    bodies = {
        "pickle": pickle.dumps(os.system),
        "surrogates": framed(Parsed(number, 0, ParsedDocument("xyz")))[HEAD:].replace(b"xyz", b"\xed\xa0\x80"),
        "deep": b"\x91" * 1_000_000,
        "nothing": b"",
        "ready again": framed(Ready())[HEAD:],
    }
    if name in bodies:
        return len(bodies[name]).to_bytes(HEAD) + bodies[name]
    if name == "two at once":
        return 2 * framed(Parsed(number, 0, GOOD))
    if name == "endless":
        return b"\xff\xff\xff\xff"
    return b"\0\0"


LIES = (
    *documents(),
    *("another number", "a picture", "a page as picture", "unknown code", "reason of many lines", "endless reason"),
    *("pickle", "surrogates", "deep", "nothing", "ready again", "two at once", "endless", "half a head"),
)


def main(name: str) -> None:
    os.write(1, framed(Ready()))
    if name == "noise":
        os.write(2, b"noise " * 100_000)
        name = "truth"
    with socket.socket(fileno=0) as questions:
        while body := socket.recv_fds(questions, 4096, 1)[0]:
            rest = memoryview(lie(name, decode_question(body)))
            while rest:
                rest = rest[os.write(1, rest) :]
            if name in {"half a head", "endless"}:
                return


if __name__ == "__main__":
    main(sys.argv[1])
