"""MCP servers without manners, over stdio, with the standard library alone. Argument: which one."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

TOOL = {"name": "tool", "inputSchema": {"type": "object"}}


def main() -> None:
    manner = sys.argv[1]
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if manner == "chatty":
        for number in range(50):
            say(f"starting {number}")
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["method"] == "initialize" and manner not in ("silent", "refusing"):
            answer(asked, {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": SERVER})
        elif "id" in asked:
            behave(manner, asked)
    while manner == "stubborn":
        time.sleep(1)


def behave(manner: str, asked: dict[str, Any]) -> None:
    match manner:
        case "silent" | "mute":
            pass
        case "refusing":
            fail(asked, f"no entry\nwith {os.environ['KEY']}")
        case "garbage":
            while True:
                say("{]")
        case "endless":
            while True:
                sys.stdout.write("x" * 65_536)
        case "flood":
            while True:
                say('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}')
        case "questions":
            for number in range(10_000):
                say(f'{{"jsonrpc":"2.0","id":{number},"method":"ping"}}')
        case "strangers":
            say('{"jsonrpc":"2.0","id":4711,"result":{}}')
            answer(asked, {"tools": [TOOL]})
        case "pages":
            number = next(NUMBERS)
            answer(asked, {"tools": [TOOL | {"name": f"t{number}"}], "nextCursor": str(number)})
        case "circle":
            answer(asked, {"tools": [TOOL], "nextCursor": "again"})
        case "many":
            answer(asked, {"tools": [TOOL | {"name": f"t{number}"} for number in range(600)]})
        case "invalid":
            answer(asked, {"tools": [{"name": 5}]})
        case "huge":
            answer(asked, {"tools": [], "_meta": {"x": "x" * (10 << 20)}})
        case "gone":
            os._exit(0)
        case "deaf":
            sys.stdout.flush()
            os.close(1)
            time.sleep(600)
        case "wordy":
            for _ in range(200):
                sys.stderr.write(f"the key is {os.environ['KEY']} {'.' * 60_000}\n")
            answer(asked, {"tools": [TOOL]})
        case "process":
            answer(asked, {"tools": [TOOL | {"name": str(os.getpid())}]})
        case _:
            answer(asked, {"tools": [TOOL]})


def count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


SERVER = {"name": "rude", "version": "1"}
NUMBERS = count()


def answer(asked: dict[str, Any], result: object) -> None:
    say(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}))


def fail(asked: dict[str, Any], message: str) -> None:
    say(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32000, "message": message}}))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
