"""Requests in numbers: what was asked by which method, how it was answered, and how long the answer took to begin."""

from typing import Final

from application.tallies import OTHER, Durations, Tally

BEGIN_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Clients may make up others."""
NO_ROUTE: Final = "unknown"
NO_STATUS: Final = "none"


class HttpStatistics:
    """A route is the template of its path, and never the path: what people write there stays out."""

    __slots__ = ("begun", "requests")

    def __init__(self) -> None:
        self.requests = Tally(most=5000)
        """By method, route and status; `none` for a request whose client went away before its answer began."""
        self.begun: dict[tuple[str, ...], Durations] = {}
        """By method and route."""

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """To be told once, when the answer begins, or with status 0 when it never did."""
        method = method if method in METHODS else OTHER
        key = method, route or NO_ROUTE
        self.requests.add(*key, str(status) if status else NO_STATUS)
        if status:
            taken = self.begun.get(key)
            if taken is None:
                taken = self.begun[key] = Durations(BEGIN_SECONDS)
            taken.add(seconds)
