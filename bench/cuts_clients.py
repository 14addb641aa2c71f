"""Clients that lose their connection all the time, and come back until their answer is whole."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from cuts_provider import Asked
from cuts_servers import Fleet
from cuts_wire import Cut, Manner, Outcome, Place, Wire, request, talk
from server import API

PATIENCE = 60.0
BUSY = {429, 503}
MEAN_STAY, MEAN_ABSENCE = 0.3, 0.15
STOPPING = 0.01
PLACES = (None, None, None, None, None, Place.CHUNK, Place.CHARACTER, Place.CHARACTER, Place.FRAME, Place.AFTER)
MANNERS = (Manner.CLOSE, Manner.CLOSE, Manner.RESET, Manner.RESET, Manner.SILENT)


@dataclass
class Counts:
    """What the clients did, and what was done to them."""

    cuts: int = 0
    places: Counter[str] = field(default_factory=Counter)
    manners: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)


@dataclass
class Ask:
    """One question, and all that its client has of the answer. Times are monotonic."""

    asked: Asked
    token: str
    key: str | None
    background: bool
    began: float = 0
    ended: float = 0
    run_id: str = ""
    frames: list[bytes] = field(default_factory=list)
    makers: set[int] = field(default_factory=set)
    """Servers that may make the run."""
    last_server: int = -1
    trail: list[str] = field(default_factory=list)
    """What its client did and met, with the seconds since it asked."""
    stopped: bool = False
    lost: bool = False
    """Whether it is unknown if the server ever heard the question: there was no key to ask again under."""
    problem: str = ""

    @property
    def dialog_id(self) -> str:
        return f"dialog {self.asked.name}"

    @property
    def done(self) -> bool:
        return bool(self.frames) and b"\nevent: done\n" in self.frames[-1]

    @property
    def last_event_id(self) -> str:
        return self.frames[-1].split(b"\n", 1)[0][4:].decode() if self.frames else ""

    def question(self) -> bytes:
        body = {"user_input": self.asked.question, "dialog_id": self.dialog_id, "background": self.background}
        headers = (f"Idempotency-Key: {self.key}",) if self.key else ()
        return request("POST", f"{API}/chat", self.token, json.dumps(body).encode(), headers)

    def resumption(self, random: Random) -> bytes:
        path, last = f"{API}/chat/{self.run_id}/events", self.last_event_id
        if not last:
            return request("GET", path, self.token)
        if random.random() < 0.5:
            return request("GET", f"{path}?after={quote(last)}", self.token)
        return request("GET", path, self.token, headers=(f"Last-Event-ID: {last}",))


@dataclass
class Campaign:
    """Asks until so many cuts are made, then lets every answer come to its end."""

    seed: int
    wanted: int
    fleet: Fleet
    tokens: list[str]
    counts: Counts = field(default_factory=Counts)
    asks: list[Ask] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.counts.cuts >= self.wanted

    def made(self) -> int:
        return self.counts.cuts

    async def client(self) -> None:
        while not self.over:
            number = len(self.asks)
            random = Random(f"{self.seed}/{number}")
            thinking = random.choice((0, 0, 0, random.randint(1, 40)))
            asked = Asked(random.randint(120, 200), random.uniform(5, 20), thinking, f"{self.seed}/{number}")
            key = f"key-{self.seed}-{number}" if random.random() < 0.5 else None
            ask = Ask(asked, random.choice(self.tokens), key, background=random.random() < 0.7)
            self.asks.append(ask)
            ask.began = time.monotonic()
            try:
                await Client(self, ask, random).until_done()
            except TimeoutError:
                ask.problem = f"nothing ended for {PATIENCE:g} s"
            ask.ended = ask.ended or time.monotonic()


@dataclass
class Client:
    campaign: Campaign
    ask: Ask
    random: Random

    async def until_done(self) -> None:
        ask, counts = self.ask, self.campaign.counts
        while not ask.problem:
            server = self.random.choice(self.campaign.fleet.servers)
            sent, asks_again = self._request(server.number)
            # What is cut before a server is back says nothing, and only keeps it busy.
            cut = None if server.number in self.campaign.fleet.down else self._cut()
            outcome, wire = await talk(server.port, sent, cut, PATIENCE)
            self._take(wire, server.number)
            self._note(sent, server.number, f"{outcome} {wire.status} {ask.last_event_id[-9:]}")
            if outcome is Outcome.ENDED and self._is_over(wire):
                return
            if outcome is Outcome.CUT and cut:
                self._count_cut(wire, cut)
            elif outcome is not Outcome.ENDED:
                counts.other[f"connections {outcome} by the server"] += 1
            if asks_again and not ask.key and not ask.run_id and outcome is Outcome.BROKEN:
                ask.lost = True
                return
            await asyncio.sleep(self._absence(outcome))
            if ask.run_id and not ask.done and self.random.random() < STOPPING:
                await self._stop()

    def _note(self, sent: bytes, server: int, what: str) -> None:
        line = sent.split(b" HTTP", 1)[0].decode().replace(self.ask.run_id or "-", "")[:60]
        self.ask.trail.append(f"{time.monotonic() - self.ask.began:.2f} {server} {line}: {what}")

    async def _stop(self) -> None:
        """Somebody, anywhere, ends the run; it may have ended before."""
        ask, server = self.ask, self.random.choice(self.campaign.fleet.servers)
        ask.stopped = True
        body = json.dumps({"run_id": ask.run_id}).encode()
        outcome, wire = await talk(server.port, request("POST", f"{API}/chat/stop", ask.token, body), None, PATIENCE)
        self.campaign.counts.other[f"stop {wire.status or outcome}"] += 1
        if outcome is Outcome.ENDED and wire.status not in {200, *BUSY}:
            ask.problem = f"stop {wire.status}: {wire.tail[:400].decode(errors='replace')}"

    def _request(self, server: int) -> tuple[bytes, bool]:
        """What to send now, and whether it is the question."""
        ask, counts = self.ask, self.campaign.counts
        if ask.run_id and (ask.frames or not ask.key or self.random.random() < 0.5):
            counts.other["resumed"] += 1
            counts.other["resumed at another process"] += ask.last_server not in {-1, server}
            return ask.resumption(self.random), False
        if not ask.run_id:
            ask.makers.add(server)
        counts.other["asked"] += 1
        counts.other["asked again under the key"] += ask.last_server >= 0
        return ask.question(), True

    def _cut(self) -> Cut | None:
        if self.campaign.over or self.random.random() < 0.03:
            return None
        random, unnamed = self.random, not self.ask.key and not self.ask.run_id
        in_body = unnamed or random.random() < 0.8
        seconds, size = random.expovariate(1 / MEAN_STAY), int(random.expovariate(1 / 4000))
        place, luck = random.choice(PLACES), random.random()
        if luck < 0.05:
            size, place = 0, None
        elif luck < 0.25:
            size = 10_000_000
        elif place is Place.AFTER:
            seconds = PATIENCE
        half_sent = luck < 0.02 and not unnamed
        return Cut(size, seconds, random.choice(MANNERS), place, in_body, half_sent)

    def _take(self, wire: Wire, server: int) -> None:
        ask = self.ask
        if wire.status == 200:
            if not ask.done:
                ask.ended = time.monotonic()
            ask.run_id = ask.run_id or wire.headers["x-run-id"]
            if ask.run_id != wire.headers["x-run-id"]:
                ask.problem = f"asked again, the run is another one: {wire.headers['x-run-id']}"
            ask.frames += wire.frames
        ask.last_server = server

    def _is_over(self, wire: Wire) -> bool:
        """Whether a response that came whole is the last one."""
        ask = self.ask
        if wire.status in BUSY:
            self.campaign.counts.other[f"answers {wire.status}"] += 1
            return False
        if wire.status != 200:
            ask.problem = f"answer {wire.status}: {wire.tail[:400].decode(errors='replace')}"
        elif not ask.done:
            ask.problem = "the stream ended without done"
        return True

    def _count_cut(self, wire: Wire, cut: Cut) -> None:
        counts = self.campaign.counts
        if wire.status in {0, 200}:
            counts.cuts += 1
            counts.places[wire.place] += 1
            counts.manners[cut.manner] += 1

    def _absence(self, outcome: Outcome) -> float:
        if outcome is not Outcome.CUT:
            return self.random.uniform(0.1, 0.6)
        if self.ask.background and self.random.random() < 0.02:
            return self.random.uniform(2, 7)
        return min(1.0, self.random.expovariate(1 / MEAN_ABSENCE))
