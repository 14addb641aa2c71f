"""Cut streams at real servers thousands of times, and see that every client gets its whole answer.

    python bench/cuts.py [--cuts 10000] [--database sqlite|postgres] [--seed N] [--document]

Postgres: two processes over one database; SQLite: one. Servers are killed and restarted meanwhile. Exit code 1 when
anything differs. Writes bench/results/cuts-<time>.json, and with --document the table of docs/durability.md.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from cuts_clients import Campaign
from cuts_report import figures, table
from cuts_servers import RESTART, Fleet, strikes
from cuts_verdict import Verdict
from database import postgres
from processes import start, stop, wait_ready
from server import API, free_port

BENCH = Path(__file__).parent
DOCUMENT = BENCH.parent / "docs" / "durability.md"
BEGIN, END = "<!-- figures: written by bench/cuts.py --document -->", "<!-- end of figures -->"
CLIENTS, USERS = 100, 8


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    port, log = free_port(), folder / "provider.log"
    process = start([sys.executable, str(BENCH / "cuts_provider.py"), "--port", str(port)], log)
    try:
        wait_ready(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def users(url: str) -> list[str]:
    """Their tokens."""

    def post(path: str, body: object) -> Any:
        data, headers = json.dumps(body).encode(), {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url + API + path, data, headers), timeout=30) as response:
            return json.load(response)["data"]

    tokens = []
    for number in range(USERS):
        who = {"user_name": f"reader {number}", "user_password": "bench-password"}
        post("/user/register", who)
        tokens.append(post("/user/login", who)["access_token"])
    return tokens


async def carry_out(campaign: Campaign) -> Verdict:
    striking = asyncio.create_task(
        strikes(campaign.fleet, random.Random(campaign.seed), campaign.wanted, campaign.made)
    )
    await asyncio.gather(*(campaign.client() for _ in range(CLIENTS)))
    await striking
    print(f"  {campaign.made()} cuts are made, {len(campaign.asks)} answers are compared", flush=True)
    verdict = Verdict(campaign)
    await verdict.read_everywhere()
    # Now nobody has a run in memory: what is read is what is stored.
    for server in campaign.fleet.servers:
        await asyncio.to_thread(campaign.fleet.strike, server.number, RESTART)
        campaign.fleet.blows.pop()
    await verdict.read_everywhere()
    await verdict.judge()
    return verdict


def run(database: str, cuts: int, seed: int) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentchat-cuts-")))
        provider_url = stack.enter_context(provider(folder))
        database_url = stack.enter_context(postgres())[0] if database == "postgres" else None
        fleet = Fleet.over(folder, f"{provider_url}/v1", database_url)
        stack.callback(fleet.stop)
        stack.callback(fleet.complain)
        fleet.start()
        campaign = Campaign(seed, cuts, fleet, users(fleet.servers[0].url))
        began = time.monotonic()
        print(f"{database}: {cuts} cuts, seed {seed}", flush=True)
        findings = uvloop.run(carry_out(campaign)).findings
        for difference in findings.differences[:20]:
            print(f"DIFFERENCE, seed {seed}: {json.dumps(difference, ensure_ascii=False)}", file=sys.stderr)
        return {
            "seed": seed,
            "figures": figures(campaign, findings, time.monotonic() - began),
            "differences": findings.differences,
            "blows": [vars(blow) for blow in fleet.blows],
        }


def document(results: dict[str, dict[str, Any]], seed: int) -> None:
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    made = f"Measured {time.strftime('%Y-%m-%d')}, {os.cpu_count()} shared cores, Python {platform.python_version()}, "
    made += f"{CLIENTS} clients at once, seed {seed}."
    DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n\n{table(results)}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="default: one after the other")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--document", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended from outside."))  # so that nothing it started is left
    databases = [options.database] if options.database else ["sqlite", "postgres"]
    results = {database: run(database, options.cuts, options.seed) for database in databases}
    print(table(results))
    if options.document:
        document(results, options.seed)
    path = BENCH / "results" / f"cuts-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    path.write_text(json.dumps({"machine": machine} | results, indent=1, ensure_ascii=False))
    print(f"\n{path}")
    return 1 if any(result["differences"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
