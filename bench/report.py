"""What was measured, beside what the project aims at, as a Markdown table."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """`target` and `stretch` are the largest value that is good enough, or with `at_least` the smallest."""

    key: str
    name: str
    unit: str = ""
    target: float | None = None
    stretch: float | None = None
    at_least: bool = False
    digits: int = 2

    def verdict(self, value: float) -> str:
        def reaches(limit: float) -> bool:
            return value >= limit if self.at_least else value <= limit

        if self.target is None:
            return ""
        if self.stretch is not None and reaches(self.stretch):
            return " (stretch met)"
        return " (met)" if reaches(self.target) else " (**missed**)"

    def limit(self, value: float | None) -> str:
        return "" if value is None else f"{'≥' if self.at_least else '≤'} {value:g}"


FIGURES = [
    Figure("sat_ratio", "50 streams × 200 tokens, no delay: throughput against direct", target=0.55, at_least=True),
    Figure("sat_tokens_s", "… tokens/s", digits=0),
    Figure("sat_cpu", "… CPU", "us/token", 20, 14, digits=1),
    Figure("sat_database_cpu", "… CPU of the database server", "us/token", digits=1),
    Figure("sat_bytes", "… on the wire", "bytes/token", 150, digits=0),
    Figure("sat_ttft", "… first token, p95", "ms", digits=0),
    Figure("sat_failed", "… failed requests", target=0, digits=0),
    Figure("history_ratio", "the same, dialogs with history: throughput against direct"),
    Figure("history_cpu", "… CPU", "us/token", digits=1),
    Figure("paced_ratio", "500 streams, 50 ms a token: rate against direct", target=0.99, at_least=True),
    Figure("paced_cpu", "… CPU", "us/token", 100, 70, digits=1),
    Figure("paced_lag", "… lag of a token, p95", "ms", digits=1),
    Figure("paced_ttft", "… first token, p95", "ms", digits=1),
    Figure("paced_failed", "… failed requests of 1000", target=0, digits=0),
    Figure("idle_ttft", "first token later than direct, idle, p50", "ms", 4, 1.5),
    Figure("list_cpu", "authenticated list of 20 agents: CPU", "ms/request", 0.8, 0.3),
    Figure("list_requests", "… requests/s", digits=0),
    Figure("rss", "memory after the start", "MB", 120, 90, digits=0),
    Figure("rss_after", "… after the load", "MB", digits=0),
    Figure("ready", "ready after the start", "s", 3, 1.5),
    Figure("ready_first", "… the first time, schema included", "s"),
]


def medians(rounds: list[Mapping[str, float]]) -> dict[str, float]:
    return {key: median(one[key] for one in rounds) for key in rounds[0]}


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    databases = list(results)
    lines = [
        f"| | unit | target | stretch | {' | '.join(databases)} |",
        f"|---|---|---|---|{'---|' * len(databases)}",
    ]
    for figure in FIGURES:
        values = [results[database].get(figure.key) for database in databases]
        if all(value is None for value in values):
            continue
        cells = ["" if value is None else f"{value:.{figure.digits}f}{figure.verdict(value)}" for value in values]
        limits = [figure.limit(figure.target), figure.limit(figure.stretch)]
        lines.append(f"| {' | '.join([figure.name, figure.unit, *limits, *cells])} |")
    return "\n".join(lines)
