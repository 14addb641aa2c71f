"""Load client: a closed loop of streams or plain requests over keep-alive connections; one JSON object on stdout.

    load.py --url http://127.0.0.1:8000/api/v1/chat --header "Authorization: Bearer …" --expect 200 --end "event: done" \\
        --body '{"user_input": "q", "dialog_id": "d-{i}"}' -c 50 -n 600 --pid 4711

{i} in body or path is the request's number, {c} the connection's. With --expect every response is a stream that carries
so many tokens before exactly one --end mark. CPU (of --pid and its children, until --settle seconds after the last
byte, so that storing counts) is reported for each token and each request. Latencies are in ms: ttft from request
to first token, lag from the provider's write of a token to its arrival here (the oldest token of each read).
"""

import argparse
import asyncio
import gc
import json
import resource
import time
from collections import Counter
from urllib.parse import urlsplit

import uvloop
from connection import Connection, Response
from processes import cpu_seconds, rss_mb


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3)
        for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1))
        if ordered
    }


class Load:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.url = urlsplit(options.url)
        self.mark = options.end.encode() if options.end else None
        self.sent = 0
        self.bodies: list[bytes] = []
        self.good: list[Response] = []
        self.problems: Counter[str] = Counter()

    def request(self, number: int, connection: int) -> bytes:
        def filled(text: str) -> str:
            return text.replace("{i}", str(number)).replace("{c}", str(connection))

        path = filled(self.url.path + (f"?{self.url.query}" if self.url.query else ""))
        body = filled(self.options.body or "").encode()
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"host: {self.url.netloc}", *self.options.header]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def worker(self, index: int) -> None:
        options, connection = self.options, None
        await asyncio.sleep(options.ramp * index / options.c)
        while self.sent < options.n and time.monotonic() < self.deadline:
            number, self.sent = self.sent, self.sent + 1
            request = self.request(number, index)
            try:
                if connection is None or connection.transport is None:
                    loop = asyncio.get_running_loop()
                    _, connection = await loop.create_connection(Connection, self.url.hostname, self.url.port)
                response = Response(self.mark, bool(options.expect))
                await asyncio.wait_for(connection.send(request, response), options.timeout)
            except (OSError, TimeoutError) as problem:
                self.problems[type(problem).__name__] += 1
                connection = None
                continue
            self.judge(response)
            if not (response.complete and response.keep_alive):
                connection.transport and connection.transport.close()
                connection = None
        if connection and connection.transport:
            connection.transport.close()

    def judge(self, response: Response) -> None:
        options = self.options
        if response.problem or response.status != 200:
            self.problems[response.problem or f"{response.status} {response.body[:200]!r}"] += 1
        elif options.expect and response.tokens != options.expect:
            self.problems[f"{response.tokens} of {options.expect} tokens"] += 1
        elif self.mark and response.ends != 1:
            self.problems[f"{response.ends} end marks"] += 1
        else:
            self.good.append(response)

    async def run(self) -> dict[str, object]:
        options = self.options
        gc.disable()
        cpu, began = cpu_seconds(options.pid) if options.pid else 0.0, time.monotonic()
        beside = cpu_seconds(options.beside) if options.beside else 0.0
        self.deadline = began + options.seconds
        await asyncio.gather(*(self.worker(index) for index in range(options.c)))
        wall = time.monotonic() - began
        await asyncio.sleep(options.settle)
        cpu = cpu_seconds(options.pid) - cpu if options.pid else 0.0
        beside = cpu_seconds(options.beside) - beside if options.beside else 0.0
        good, tokens = self.good, sum(response.tokens for response in self.good)
        requests, counted = max(1, len(good)), max(1, tokens)
        return {
            "ok": len(good),
            "failed": self.problems.total(),
            "problems": dict(self.problems.most_common(4)),
            "wall_s": round(wall, 3),
            "requests_s": round(len(good) / wall, 1),
            "tokens_s": round(tokens / wall),
            "cpu_cores": round(cpu / wall, 3),
            "cpu_us_token": round(cpu * 1e6 / counted, 2),
            "cpu_ms_request": round(cpu * 1e3 / requests, 4),
            "beside_us_token": round(beside * 1e6 / counted, 2),
            "beside_ms_request": round(beside * 1e3 / requests, 4),
            "bytes_token": round(sum(response.size for response in good) / counted, 1),
            "rss_mb": round(rss_mb(options.pid), 1) if options.pid else 0,
            "duration": quantiles([(response.ended - response.began) / 1e6 for response in good]),
            "ttft": quantiles([(response.first - response.began) / 1e6 for response in good if response.first]),
            "lag": quantiles([lag for response in good for lag in response.lags]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--body")
    parser.add_argument("--expect", type=int, default=0, help="tokens that each stream must carry")
    parser.add_argument("--end", help="bytes that each stream must carry once, after its tokens")
    parser.add_argument("-c", type=int, default=1, help="connections")
    parser.add_argument("-n", type=int, default=1_000_000, help="requests in all")
    parser.add_argument("--seconds", type=float, default=60, help="no new request after so long")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--ramp", type=float, default=0, help="spread the connections' starts over so many seconds")
    parser.add_argument("--settle", type=float, default=0.3)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--beside", type=int, default=0, help="another process whose CPU is told apart: the database")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print(json.dumps(uvloop.run(Load(parser.parse_args()).run())))


if __name__ == "__main__":
    main()
