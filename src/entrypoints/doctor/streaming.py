"""Do answers come as they are written, or does something on the way keep them back?"""

from collections.abc import Mapping, Sequence
from typing import Final

from entrypoints.doctor.conversation import Conversation, Refused
from entrypoints.doctor.events import DONE, TEXT, Frame
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, skip
from entrypoints.doctor.remote import Unreachable
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import Settings

NAME: Final = "stream"
WANTED_SECONDS: Final = 1.5
FEWEST: Final = 8
MOST: Final = 75
SLOWEST_MS: Final = 1000
EARLY: Final = 1 / 8
"""The part of the answer's time whose frames are looked at."""
HELD_BACK: Final = 1 / 4
"""The part of the answer's time that they may be late, against the promptest frame: more is no accident."""
SHORTEST_SECONDS: Final = 0.2
BUFFERING_MEND: Final = "nginx: proxy_buffering off; Caddy: flush_interval -1 (in the block that passes /api/v1 on)"
COMPRESSION_MEND: Final = "nginx: gzip off; for /api/v1/chat; Caddy: leave text/event-stream out of `encode`"


async def flows(subject: Subject) -> Sequence[Finding]:
    count = words_to_count(subject.settings)
    if count is None:
        return [skip(NAME, f"the offline model is too slow to be tried: offline_delay_ms is above {SLOWEST_MS}")]
    try:
        async with Conversation.of(subject, "stream").ask(f"count to {count}") as asked:
            frames = await asked.events.until(lambda frame: frame.kind == DONE)
            asked.ended = True
    except (Refused, Unreachable) as error:
        return [fail(NAME, str(error), "look into the server's and the proxy's log")]
    return [*header_findings(asked.headers), stream_verdict(frames, asked.asked_at)]


def words_to_count(settings: Settings) -> int | None:
    """As many as take a second or two."""
    if settings.offline_delay_ms > SLOWEST_MS:
        return None
    return max(FEWEST, min(MOST, round(1000 * WANTED_SECONDS / max(1, settings.offline_delay_ms))))


def stream_verdict(frames: Sequence[Frame], asked_at: float) -> Finding:
    written = [frame for frame in frames if frame.kind == TEXT]
    if not written or frames[-1].kind != DONE:
        mend = "look into the proxy's and the server's log: something ends streams before their time"
        return fail(NAME, f"the stream broke off after {len(frames)} frames, without its end", mend)
    late = held_back(written)
    said = f"first frame after {milliseconds(written[0].arrived - asked_at)}, {len(written)} frames"
    if late is None:
        return ok(NAME, f"{said}; too quick to see whether they are kept back: offline_delay_ms is too small")
    over = written[-1].stamped - written[0].stamped
    if late > HELD_BACK * over:
        message = f"the answer is kept back on the way: its first words came {milliseconds(late)} late, in a burst"
        return fail(NAME, message, BUFFERING_MEND)
    return ok(NAME, f"{said} over {over:.1f} s, each as it was written")


def held_back(written: Sequence[Frame]) -> float | None:
    """Seconds that the promptest of the early frames is late, against the promptest of all; None for too quick ones.

    A pause of the network makes one group of frames late; only what keeps frames back makes all the early ones late.
    """
    first, last = written[0].stamped, written[-1].stamped
    if last - first < SHORTEST_SECONDS:
        return None
    delays = [(frame.stamped, frame.arrived - frame.stamped) for frame in written]
    early = [delay for stamped, delay in delays if stamped <= first + EARLY * (last - first)]
    return min(early) - min(delay for _, delay in delays)


def header_findings(headers: Mapping[str, str]) -> list[Finding]:
    """`X-Accel-Buffering` is no matter here: nginx takes it out once it has obeyed it."""
    findings = []
    coding = headers.get("Content-Encoding", "identity")
    if coding != "identity":
        findings.append(fail("compression", f"the stream comes compressed ({coding}), in lumps", COMPRESSION_MEND))
    kind = headers.get("Content-Type", "")
    if not kind.startswith("text/event-stream"):
        mend = "let the proxy pass Content-Type on unchanged: browsers read no stream without it"
        findings.append(fail("content type", f"the stream comes as {kind or 'nothing'}", mend))
    if not headers.get("X-Run-ID"):
        mend = "nginx: remove proxy_hide_header X-Run-ID; Caddy: remove header_down -X-Run-ID"
        findings.append(fail("run header", "X-Run-ID is lost on the way: clients can't take streams up again", mend))
    return findings
