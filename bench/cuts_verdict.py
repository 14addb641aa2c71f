"""The verdict: what the server holds of each run, and whether its client got exactly that."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cuts_clients import Ask, Campaign
from cuts_provider import Asked
from cuts_servers import KILL, Blow
from cuts_wire import Outcome, Wire, request, talk
from server import API

READERS = 16
PATIENCE = 30.0
MAX_LOSS = 0.5
"""Seconds of text that a killed process may take with it."""
SAMPLE = 60


@dataclass
class Findings:
    differences: list[dict[str, Any]] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    """What an uncut reader of a run got, by the id of the run."""
    compared: int = 0
    beyond_runs: int = 0
    loss_seconds: float = 0
    loss_chars: int = 0
    killed: int = 0
    restarted_interrupted: int = 0
    restarted_complete: int = 0
    kill_to_done: list[float] = field(default_factory=list)

    def differ(self, ask: Ask, what: str, detail: str = "") -> None:
        about = {"run_id": ask.run_id, "name": ask.asked.name, "key": ask.key, "background": ask.background}
        self.differences.append(about | {"what": what, "detail": detail[:1000], "trail": ask.trail})


async def whole(port: int, sent: bytes) -> Wire:
    """Raises RuntimeError for anything but a whole answer 200."""
    outcome, wire = await talk(port, sent, None, PATIENCE)
    if outcome is not Outcome.ENDED or wire.status != 200:
        raise RuntimeError(f"{outcome} {wire.status}: {wire.tail[:300].decode(errors='replace')}")
    return wire


async def at_once(findings: Findings, judge: Callable[[Ask], Awaitable[None]], asks: Sequence[Ask]) -> None:
    """Judge them all, some at a time. What can't be judged differs."""
    queue = iter(asks)

    async def work() -> None:
        for ask in queue:
            try:
                await judge(ask)
            except Exception as trouble:
                findings.differ(ask, "it can't be judged", repr(trouble))

    await asyncio.gather(*(work() for _ in range(READERS)))


@dataclass
class Verdict:
    campaign: Campaign
    findings: Findings = field(default_factory=Findings)

    async def read_everywhere(self) -> None:
        """(a) Uncut readers get the same at every process, each time."""
        named = [ask for ask in self.campaign.asks if ask.run_id]
        await at_once(self.findings, self._read, named)

    async def judge(self) -> None:
        await at_once(self.findings, self._judge, self.campaign.asks)
        asks = self.campaign.asks
        step = max(1, len(asks) // SAMPLE)
        await at_once(self.findings, self._ask_again, [*asks[::step], *(ask for ask in asks if ask.lost)])

    async def _read(self, ask: Ask) -> None:
        sent = request("GET", f"{API}/chat/{ask.run_id}/events", ask.token)
        for server in self.campaign.fleet.servers:
            try:
                got = b"".join((await whole(server.port, sent)).frames)
            except (RuntimeError, TimeoutError) as trouble:
                self.findings.differ(ask, f"an uncut reader failed at process {server.number}", repr(trouble))
                continue
            self.findings.compared += 1
            first = self.findings.stored.setdefault(ask.run_id, got)
            if got != first:
                self.findings.differ(ask, f"process {server.number} tells another answer", first_difference(got, first))

    async def _judge(self, ask: Ask) -> None:
        if ask.problem:
            self.findings.differ(ask, ask.problem)
        elif not ask.run_id and not ask.lost:
            self.findings.differ(ask, "no run")
        elif ask.run_id and ask.run_id in self.findings.stored:
            stored = frames_of(self.findings.stored[ask.run_id])
            blows = self.campaign.fleet.befell(ask.makers, ask.began, ask.ended)
            self._compare(ask, stored, [blow for blow in blows if blow.kind == KILL])
            answer = json.loads(data_of(stored[-1]))["data"]
            self._judge_text(ask, stored, answer, blows)
            await self._judge_history(ask, answer)

    def _compare(self, ask: Ask, stored: list[bytes], kills: list[Blow]) -> None:
        """(b) The client has what is stored; if the process was killed, at most a little more before `done`."""
        frames, findings = ask.frames, self.findings
        if len({frame.split(b"\n", 1)[0] for frame in frames}) != len(frames):
            findings.differ(ask, "a frame came twice")
        if [b"\nevent: done\n" in frame for frame in frames] != [False] * (len(frames) - 1) + [True]:
            findings.differ(ask, "done came not once, or not at the end")
        if frames == stored:
            return
        common = len(stored) - 1
        beyond = frames[common:-1]
        difference = first_difference(b"".join(frames), b"".join(stored))
        if not beyond or frames[:common] + frames[-1:] != stored:
            findings.differ(ask, "the client has another answer than the server", difference)
            return
        began = json.loads(data_of(beyond[0]))["timestamp"]
        losses = [kill.wall - began for kill in kills]
        if not any(-0.1 < loss < MAX_LOSS for loss in losses):
            findings.differ(ask, f"text is lost, kills came so many seconds after it: {losses}", difference)
            return
        findings.beyond_runs += 1
        findings.loss_seconds = max(findings.loss_seconds, min(loss for loss in losses if loss > -0.1))
        findings.loss_chars = max(findings.loss_chars, len("".join(chunks_of(beyond))))

    def _judge_text(self, ask: Ask, stored: list[bytes], answer: dict[str, Any], blows: list[Blow]) -> None:
        """(c) The text is the provider's: all of it, or its beginning if something befell the process."""
        findings, status, content = self.findings, answer["status"], answer["content"]
        findings.statuses[status] = findings.statuses.get(status, 0) + 1
        thought, text = ask.asked.thought(), ask.asked.text()
        got_text, got_thought = "".join(chunks_of(stored)), "".join(chunks_of(stored, b"reasoning_chunk"))
        if got_text != content:
            findings.differ(
                ask, "done.content is not the text of the frames", f"{content[-100:]!r} {got_text[-100:]!r}"
            )
        if status == "complete":
            right = (content, got_thought) == (text, thought)
        else:
            right = text.startswith(content) and thought.startswith(got_thought)
            right = right and status in {"interrupted", "stopped"}
        if not right:
            findings.differ(ask, f"{status}, but the provider said something else", f"{content[-200:]!r}")
        if status == "interrupted" and not blows:
            end = stored[-1].split(b"\n", 1)[0].decode()
            findings.differ(ask, "interrupted without a cause", f"{len(content)} characters, {end}")
        if status == "stopped" and not ask.stopped:
            findings.differ(ask, "stopped by nobody")
        kills = [blow for blow in blows if blow.kind == KILL]
        if kills and status == "interrupted":
            findings.killed += 1
            findings.kill_to_done.append(ask.ended - kills[-1].at)
        elif blows and not kills:
            findings.restarted_interrupted += status == "interrupted"
            findings.restarted_complete += status == "complete"

    async def _judge_history(self, ask: Ask, answer: dict[str, Any]) -> None:
        """(d) The dialog holds the question once, and this answer."""
        messages = await self._history(ask)
        kept = [(one["role"], one["content"], one["status"]) for one in messages]
        right = [("user", ask.asked.question, "complete"), ("assistant", answer["content"], answer["status"])]
        if kept != right or messages[1]["message_id"] != answer["message_id"]:
            self.findings.differ(ask, "the history has something else", str(kept))

    async def _ask_again(self, ask: Ask) -> None:
        """(e) No dialog is busy."""
        again = Asked(3, 1, 0, f"again-{ask.asked.name}")
        body = json.dumps({"user_input": again.question, "dialog_id": ask.dialog_id}).encode()
        server = self.campaign.fleet.servers[-1]
        try:
            frames = (await whole(server.port, request("POST", f"{API}/chat", ask.token, body))).frames
            messages = await self._history(ask)
        except (RuntimeError, TimeoutError) as trouble:
            self.findings.differ(ask, "the dialog takes no new question", repr(trouble))
            return
        if "".join(chunks_of(frames)) != again.text():
            self.findings.differ(ask, "a new question got another answer", repr(frames[-1:]))
        roles, statuses = [one["role"] for one in messages], {one["status"] for one in messages}
        if roles not in (["user", "assistant"], ["user", "assistant"] * 2) or "running" in statuses:
            self.findings.differ(ask, "the history is out of order", f"{roles} {statuses} {messages}")

    async def _history(self, ask: Ask) -> list[dict[str, Any]]:
        sent = request("GET", f"{API}/history?dialog_id={quote(ask.dialog_id)}", ask.token)
        wire = await whole(self.campaign.fleet.servers[0].port, sent)
        messages: list[dict[str, Any]] = json.loads(wire.tail)["data"]
        return messages


def frames_of(stream: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in stream.split(b"\n\n")[:-1]]


def data_of(frame: bytes) -> bytes:
    return frame.split(b"\ndata: ", 1)[1]


def chunks_of(frames: list[bytes], kind: bytes = b"response_chunk") -> list[str]:
    marked = b"\nevent: " + kind + b"\n"
    return [json.loads(data_of(frame))["data"]["chunk"] for frame in frames if marked in frame]


def first_difference(got: bytes, right: bytes) -> str:
    end = min(len(got), len(right))
    at = next((index for index in range(end) if got[index] != right[index]), end)
    window = slice(max(0, at - 40), at + 120)
    return f"at byte {at}: {got[window]!r} and {right[window]!r}"
