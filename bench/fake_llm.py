"""A fake model provider for load tests: raw asyncio, about 10 us of CPU a token.

Speaks, under any prefix, OpenAI's POST …/chat/completions and Anthropic's POST …/messages (both streamed),
GET …/models, /health, /stats, and /control?tokens=100&delay=50&first=0&burst=1, which sets for all requests to come:
tokens of an answer, milliseconds between them and before the first, tokens of one write.

Each token's text is a word and "@<monotonic microseconds>@ ", so that a client knows when it was written, whatever
a server in between wrapped it in. Without a delay a token is one write in one turn of the loop.
"""

import argparse
import asyncio
import json
import re
import time
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl

WORDS = b"the a model answers with some words that are long enough to look real and are always alike".split()
CREATED = 1_700_000_000


@dataclass
class Pace:
    tokens: int = 200
    delay: float = 0
    first: float = 0
    burst: int = 1


PACE = Pace()
STATS = {"requests": 0, "tokens": 0, "open_streams": 0, "aborted": 0}


def control(query: bytes) -> dict[str, float]:
    for name, value in parse_qsl(query.decode()):
        setattr(PACE, name, int(value) if name in {"tokens", "burst"} else float(value))
    return vars(PACE)


@dataclass(frozen=True)
class Script:
    """The bytes of an answer around the text of its tokens."""

    opening: bytes
    before: bytes
    after: bytes
    closing: bytes


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@cache
def openai_script(model: str, with_usage: bool, tokens: int) -> Script:
    base = {"id": "chatcmpl-fake0123456789abcdef", "object": "chat.completion.chunk", "created": CREATED}
    base |= {"model": model, "service_tier": "default", "system_fingerprint": "fp_fake"}

    def event(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + compact(base | {"choices": [choice]}) + b"\n\n"

    before, after = event({"content": "\x00"}).split(b"\\u0000")
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
    closing = event({}, "stop")
    if with_usage:
        closing += b"data: " + compact(base | {"choices": [], "usage": usage}) + b"\n\n"
    opening = event({"role": "assistant", "content": "", "refusal": None})
    return Script(opening, before, after, closing + b"data: [DONE]\n\n")


@cache
def anthropic_script(model: str, tokens: int) -> Script:
    def event(name: str, **fields: object) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), compact({"type": name} | fields))

    message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    opening = event("message_start", message=message)
    opening += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "\x00"})
    before, after = delta.split(b"\\u0000")
    closing = event("content_block_stop", index=0)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    closing += event("message_delta", delta=stop, usage={"output_tokens": tokens}) + event("message_stop")
    return Script(opening, before, after, closing)


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Provider(asyncio.Protocol):
    """One connection: requests one after another."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.buffer = b""
        self.answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=1 << 16)

    def connection_lost(self, problem: Exception | None) -> None:
        if self.answer:
            STATS["aborted"] += 1
            self.answer.stop()

    def pause_writing(self) -> None:
        if self.answer:
            self.answer.paused = True

    def resume_writing(self) -> None:
        if self.answer:
            self.answer.paused = False
            self.answer.step()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.next_request()

    def next_request(self) -> None:
        while not self.answer and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < stop:
                return
            body, self.buffer = self.buffer[end + 4 : stop], self.buffer[stop:]
            path, _, query = head.split(b" ", 2)[1].partition(b"?")
            self.route(path, query, body)

    def route(self, path: bytes, query: bytes, body: bytes) -> None:
        STATS["requests"] += 1
        if path.endswith((b"/chat/completions", b"/messages")):
            asked = json.loads(body)
            model, tokens = str(asked.get("model", "fake")), PACE.tokens
            if path.endswith(b"/messages"):
                self.stream(anthropic_script(model, tokens))
            else:
                with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
                self.stream(openai_script(model, with_usage, tokens))
        elif path.endswith(b"/models"):
            self.reply({"object": "list", "data": [{"id": "fake", "object": "model", "created": CREATED}]})
        elif path.endswith(b"/control"):
            self.reply(control(query))
        elif path.endswith(b"/stats"):
            self.reply(STATS)
        else:
            self.reply({"ok": True})

    def reply(self, value: object) -> None:
        body = compact(value)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)

    def stream(self, script: Script) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.transport.write(head + chunk(script.opening))
        self.answer = Answer(self, script, PACE)

    def answered(self) -> None:
        self.answer = None
        self.next_request()


class Answer:
    """One streamed answer, token by token."""

    def __init__(self, provider: Provider, script: Script, pace: Pace) -> None:
        STATS["open_streams"] += 1
        self.provider, self.script = provider, script
        self.tokens, self.delay, self.burst = pace.tokens, pace.delay / 1000, pace.burst
        self.sent = 0
        self.paused = False
        self.due = provider.loop.time() + pace.first / 1000
        self.timer: asyncio.Handle = provider.loop.call_at(self.due, self.step)

    def step(self) -> None:
        self.timer.cancel()
        if self.paused:
            return
        if self.sent == self.tokens:
            self.provider.transport.write(chunk(self.script.closing) + b"0\r\n\r\n")
            self.stop()
            self.provider.answered()
            return
        script, out, count = self.script, b"", min(self.burst, self.tokens - self.sent)
        for number in range(self.sent, self.sent + count):
            text = b"%b@%d@ " % (WORDS[number % len(WORDS)], time.monotonic_ns() // 1000)
            out += chunk(script.before + text + script.after)
        self.sent += count
        STATS["tokens"] += count
        loop = self.provider.loop
        if self.delay:
            self.due += self.delay * count
            self.timer = loop.call_at(self.due, self.step)
        else:
            self.timer = loop.call_soon(self.step)
        self.provider.transport.write(out)

    def stop(self) -> None:
        self.timer.cancel()
        STATS["open_streams"] -= 1


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    port = parser.parse_args().port
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=4096)
    print(f"fake provider on http://127.0.0.1:{port}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
