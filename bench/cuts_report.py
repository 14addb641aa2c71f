"""The figures of campaigns, as a table."""

from statistics import median
from typing import Any

from cuts_clients import Campaign
from cuts_servers import KILL, RESTART
from cuts_verdict import Findings
from cuts_wire import Manner, Place

ROWS = {
    "cuts": "cuts",
    **{f"place {place}": f"… {place}" for place in Place},
    **{f"manner {manner}": f"… connection {manner}" for manner in Manner},
    "asks": "questions",
    "keyed": "… with an Idempotency-Key",
    "asked again under the key": "… sent again under their key",
    "lost": "… without a key, broken off by a restart or kill before the server named the run",
    "status complete": "answers complete",
    "status stopped": "… stopped by their client",
    "status interrupted": "… interrupted",
    "resumed": "resumptions",
    "resumed at another process": "… at another process than the reader before",
    "kills": "servers killed (`kill -9`)",
    "restarts": "servers restarted gracefully",
    "restarted complete": "… answers that ended within the grace",
    "restarted interrupted": "… answers interrupted after it",
    "compared": "whole streams of stored runs read and compared",
    "differences": "**differences**",
    "killed": "answers cut short by a kill",
    "beyond": "… of which the client had more than what is stored",
    "loss ms": "… largest loss, ms of text",
    "loss chars": "… largest loss, characters",
    "kill to done median": "… from the kill to the `done` that the client got: median, s",
    "kill to done max": "… the longest, s",
    "seconds": "duration, s",
}


def figures(campaign: Campaign, findings: Findings, seconds: float) -> dict[str, float]:
    counts, asks, blows = campaign.counts, campaign.asks, campaign.fleet.blows
    waits = findings.kill_to_done or [0.0]
    return {
        "cuts": counts.cuts,
        **{f"place {place}": counts.places[place] for place in Place},
        **{f"manner {manner}": counts.manners[manner] for manner in Manner},
        **counts.other,
        "asks": len(asks),
        "keyed": sum(ask.key is not None for ask in asks),
        "lost": sum(ask.lost for ask in asks),
        "kills": sum(blow.kind == KILL for blow in blows),
        "restarts": sum(blow.kind == RESTART for blow in blows),
        "restarted complete": findings.restarted_complete,
        "restarted interrupted": findings.restarted_interrupted,
        "compared": findings.compared,
        "differences": len(findings.differences),
        "killed": findings.killed,
        "beyond": findings.beyond_runs,
        "loss ms": round(1000 * findings.loss_seconds),
        "loss chars": findings.loss_chars,
        "kill to done median": round(median(waits), 1),
        "kill to done max": round(max(waits), 1),
        "seconds": round(seconds),
        **{f"status {status}": count for status, count in findings.statuses.items()},
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    lines = [f"| | {' | '.join(results)} |", "|---" * (len(results) + 1) + "|"]
    for name, label in ROWS.items():
        values = [f"{result['figures'].get(name, 0):,}" for result in results.values()]
        lines.append(f"| {label} | {' | '.join(values)} |")
    return "\n".join(lines)
