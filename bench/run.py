"""Measure our server on SQLite and on Postgres, each figure beside a direct run on the fake provider.

    python bench/run.py [--rounds 3] [--databases sqlite postgres] [--document]

Every answer must come whole, end with one `done`, and be stored. Prints a table; writes bench/results/<time>.json, and
with --document the table of docs/performance.md.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from database import postgres
from processes import start, stop, wait_ready
from report import medians, table
from server import API, Server, free_port

BENCH = Path(__file__).parent
DIRECT_BODY = json.dumps({"model": "fake", "stream": True, "messages": [], "stream_options": {"include_usage": True}})
DOCUMENT = BENCH.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by bench/run.py --document -->", "<!-- end of figures -->"
STARTS = 3


@dataclass(frozen=True)
class Level:
    """`streams` at once, `requests` in all, of `tokens` each, `delay` ms apart."""

    streams: int
    requests: int
    tokens: int
    delay: int = 0
    ramp: float = 0


SATURATED = Level(50, 600, 200)
PACED = Level(500, 1000, 100, delay=50, ramp=5)
IDLE = Level(1, 150, 200)


def load(*arguments: object) -> dict[str, object]:
    command = [sys.executable, str(BENCH / "load.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result = json.loads(done.stdout)
    if result["problems"]:
        print(f"Failed requests: {result['problems']}", file=sys.stderr)
    if not result["ok"]:
        raise SystemExit("No request succeeded.")
    return result


@dataclass
class Bench:
    provider_url: str
    server: Server
    database_pid: int
    number: int = 0

    def streams(self, level: Level, *arguments: object) -> dict[str, object]:
        with urllib.request.urlopen(f"{self.provider_url}/control?tokens={level.tokens}&delay={level.delay}"):
            pass
        size = ("-c", level.streams, "-n", level.requests, "--ramp", level.ramp, "--expect", level.tokens)
        return load(*size, *arguments)

    def direct(self, level: Level) -> dict[str, object]:
        url = f"{self.provider_url}/v1/chat/completions"
        return self.streams(level, "--url", url, "--body", DIRECT_BODY, "--end", "[DONE]")

    def ours(self, level: Level, dialog_id: str) -> dict[str, object]:
        body = json.dumps({"user_input": "question {i}", "dialog_id": dialog_id})
        return self.streams(
            level, "--url", f"{self.server.url}{API}/chat", "--body", body, "--end", "event: done", *self.watched
        )

    @property
    def watched(self) -> list[object]:
        header = f"Authorization: Bearer {self.server.token}"
        return ["--header", header, "--pid", self.server.pid, "--beside", self.database_pid]

    def round(self, *, check_all: bool) -> dict[str, float]:
        self.number += 1
        figures = self.saturated(check_all=check_all)
        figures |= self.paced()
        idle_direct, idle = self.direct(IDLE), self.ours(IDLE, f"idle-{self.number}-{{i}}")
        figures["idle_ttft"] = idle["ttft"]["p50"] - idle_direct["ttft"]["p50"]
        listed = load("--url", f"{self.server.url}{API}/agent", "-c", 32, "--seconds", 3, *self.watched)
        figures |= {"list_cpu": listed["cpu_ms_request"], "list_requests": listed["requests_s"]}
        return figures

    def saturated(self, *, check_all: bool) -> dict[str, float]:
        direct, ours = self.direct(SATURATED), self.ours(SATURATED, f"sat-{self.number}-{{i}}")
        history = self.ours(SATURATED, f"history-{self.number}-{{c}}")
        checked = range(SATURATED.requests) if check_all else range(0, SATURATED.requests, 20)
        if ours["failed"] == history["failed"] == 0:
            self.server.check_stored([f"sat-{self.number}-{index}" for index in checked], SATURATED.tokens)
            dialogs = [f"history-{self.number}-{index}" for index in range(0, SATURATED.streams, 10)]
            self.server.check_stored(dialogs, SATURATED.tokens)
        figures = {
            "sat_failed": ours["failed"] + history["failed"],
            "sat_ratio": ours["tokens_s"] / direct["tokens_s"],
            "sat_tokens_s": ours["tokens_s"],
            "sat_cpu": ours["cpu_us_token"],
            "sat_bytes": ours["bytes_token"],
            "sat_ttft": ours["ttft"]["p95"],
            "history_ratio": history["tokens_s"] / direct["tokens_s"],
            "history_cpu": history["cpu_us_token"],
        }
        return figures | ({"sat_database_cpu": ours["beside_us_token"]} if self.database_pid else {})

    def paced(self) -> dict[str, float]:
        direct, ours = self.direct(PACED), self.ours(PACED, f"paced-{self.number}-{{i}}")
        return {
            "paced_failed": ours["failed"],
            "paced_ratio": ours["tokens_s"] / direct["tokens_s"],
            "paced_cpu": ours["cpu_us_token"],
            "paced_lag": ours["lag"]["p95"],
            "paced_ttft": ours["ttft"]["p95"],
        }


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    port, log = free_port(), folder / "provider.log"
    process = start([sys.executable, str(BENCH / "fake_llm.py"), "--port", str(port)], log)
    try:
        wait_ready(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def measure(database: str, rounds: int) -> dict[str, object]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentchat-bench-")))
        provider_url = stack.enter_context(provider(folder))
        database_url, database_pid = stack.enter_context(postgres()) if database == "postgres" else (None, 0)
        server = Server(folder, f"{provider_url}/v1", database_url)
        stack.callback(server.stop)
        stack.callback(server.complain)
        began = time.monotonic()
        if database_url:
            server.migrate()
        server.start()
        started = {"ready_first": time.monotonic() - began}
        ready, rss = [], []
        for _ in range(STARTS):
            server.stop()
            ready.append(server.start())
            rss.append(server.idle_rss_mb())
        started |= {"ready": median(ready), "rss": median(rss)}
        server.log_in()
        server.add_agents(20)
        bench = Bench(provider_url, server, database_pid)
        bench.ours(Level(10, 50, 200), "warm-{i}")
        every = [bench.round(check_all=number == 0) for number in range(rounds)]
        after = {"rss_after": server.idle_rss_mb()}
        return {"median": medians(every) | started | after, "rounds": every, "starts": ready}


def document(figures: str) -> None:
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    made = f"Measured {time.strftime('%Y-%m-%d')}, {os.cpu_count()} shared cores, Python {platform.python_version()}, "
    made += f"load average of the machine {os.getloadavg()[2]:.1f} over the last 15 minutes."
    DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n\n{figures}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--document", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended from outside."))  # so that nothing it started is left
    load_before = os.getloadavg()
    results = {database: measure(database, options.rounds) for database in options.databases}
    figures = table({database: result["median"] for database, result in results.items()})
    print(figures)
    if options.document:
        document(figures)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    path = BENCH / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "load_before": load_before} | results, indent=1))
    print(f"\n{path}")


if __name__ == "__main__":
    main()
