"""A web that answers from memory."""

from collections.abc import Callable

from application.ports.guarded_web import WebAnswer, WebRequest

Answering = Callable[[WebRequest], WebAnswer]


class ScriptedWeb:
    """`answering` may raise what GuardedWeb raises. `requests` are those that were sent, in order."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.requests: list[WebRequest] = []

    async def send(self, request: WebRequest) -> WebAnswer:
        self.requests.append(request)
        return self._answering(request)


def answered(
    body: bytes | str = b"{}", status: int = 200, kind: str = "application/json", *, cut: bool = False
) -> Answering:
    """The same for every request."""
    content = body.encode() if isinstance(body, str) else body

    def answer(request: WebRequest) -> WebAnswer:
        headers = (("content-type", kind),) if kind else ()
        return WebAnswer(status, request.url, headers, content, cut)

    return answer
