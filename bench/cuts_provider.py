"""A fake provider of numbered answers: the question says how long, so that client and provider know the text.

    tokens=150 pace=12.5 thinking=9 name=4711/8

asks for 9 tokens of visible reasoning and 150 of text, 12.5 ms apart in the mean. Text is full of what a cut could
spoil: characters of two to four bytes, line ends, quotes, words that look like frames.
"""

import argparse
import asyncio
import json
import re
from dataclasses import dataclass
from functools import cache
from random import Random

from fake_llm import CREATED, STATS, Answer, Pace, Provider, Script, chunk, compact, openai_script

WORDS = (
    "plain",
    "日本語",
    "naïve",
    "🙂🙃",
    "данные",
    'a "quoted" \\ word',
    "two\n\nlines",
    "data: {}\n\nevent: done\n\n",
    "ข้อความ",
    "\u2028\u2029\u0085",
    "e\u0301",
    "<&>",
    "id: 1:1",
    "你好，世界",
)
ASKED = re.compile(r"tokens=(\d+) pace=([\d.]+) thinking=(\d+) name=(\S+)")


@dataclass(frozen=True)
class Asked:
    """What a question asks for."""

    tokens: int
    pace: float
    thinking: int
    name: str

    @property
    def question(self) -> str:
        return f"tokens={self.tokens} pace={self.pace:.1f} thinking={self.thinking} name={self.name}"

    def text(self) -> str:
        return "".join(token(self.name, number) for number in range(self.tokens))

    def thought(self) -> str:
        return "".join(token(f"thought {self.name}", number) for number in range(self.thinking))


def asked(question: str) -> Asked:
    found = ASKED.search(question)
    assert found, question
    return Asked(int(found[1]), float(found[2]), int(found[3]), found[4])


def token(name: str, number: int) -> str:
    word = WORDS[(number * 5 + len(name)) % len(WORDS)]
    return f"{name}:{word} " if number == 0 else f"{number}:{word} "


@cache
def around_thought(model: str) -> tuple[bytes, bytes]:
    """The bytes of an event before and after its piece of reasoning."""
    choice = {"index": 0, "delta": {"reasoning_content": "\x00"}, "finish_reason": None}
    event = {"id": "chatcmpl-cuts", "object": "chat.completion.chunk", "created": CREATED, "model": model}
    before, after = (b"data: " + compact(event | {"choices": [choice]}) + b"\n\n").split(b"\\u0000")
    return before, after


class NumberedProvider(Provider):
    def route(self, path: bytes, query: bytes, body: bytes) -> None:
        if not path.endswith(b"/chat/completions"):
            super().route(path, query, body)
            return
        STATS["requests"] += 1
        request = json.loads(body)
        question = next(one["content"] for one in reversed(request["messages"]) if one["role"] == "user")
        what, model = asked(question), str(request["model"])
        script = openai_script(model, bool(request.get("stream_options")), what.tokens)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head + chunk(script.opening))
        self.answer = NumberedAnswer(self, script, what, around_thought(model))


class NumberedAnswer(Answer):
    """Token by token, or some in one write, at uneven times."""

    def __init__(self, provider: Provider, script: Script, what: Asked, thinking: tuple[bytes, bytes]) -> None:
        self.what, self.thinking, self.random = what, thinking, Random(what.name)
        super().__init__(provider, script, Pace(what.tokens + what.thinking, what.pace, what.pace))

    def step(self) -> None:
        self.timer.cancel()
        if self.paused:
            return
        if self.sent == self.tokens:
            self.provider.transport.write(chunk(self.script.closing) + b"0\r\n\r\n")
            self.stop()
            self.provider.answered()
            return
        count = min(self.random.choice((1, 1, 1, 1, 2, 5)), self.tokens - self.sent)
        out = b"".join(self.event(number) for number in range(self.sent, self.sent + count))
        self.sent += count
        STATS["tokens"] += count
        self.due += self.delay * count * self.random.uniform(0.2, 1.8)
        self.timer = self.provider.loop.call_at(self.due, self.step)
        self.provider.transport.write(out)

    def event(self, number: int) -> bytes:
        (before, after), name = self.thinking, f"thought {self.what.name}"
        if number >= self.what.thinking:
            before, after, name = self.script.before, self.script.after, self.what.name
            number -= self.what.thinking
        return chunk(before + json.dumps(token(name, number))[1:-1].encode() + after)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    server = await asyncio.get_running_loop().create_server(NumberedProvider, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
