"""Which call a piece of a streamed tool call belongs to: servers number, name and repeat them in their own ways."""

from dataclasses import dataclass

import msgspec

from adapters.openai.wire import NOT_UNDERSTOOD, CallPiece, Function
from domain.conversation.conversation import ToolCallDelta

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Call:
    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class CallPieces:
    """Gives every call of one answer its own index, and its id and name once."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_number: dict[int, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def delta(self, piece: CallPiece) -> ToolCallDelta:
        function = piece.function or Function()
        call = self._call_of(piece, function)
        given = function.arguments
        arguments = given if isinstance(given, str) else _encode(given).decode() if given else ""
        call_id = piece.id or "" if not call.call_id else ""
        name = function.name or "" if not call.name else ""
        call.call_id = call.call_id or call_id
        call.name = call.name or name
        call.arguments += arguments
        return ToolCallDelta(call.index, call_id, name, arguments)

    def _call_of(self, piece: CallPiece, function: Function) -> _Call:
        """Some servers leave the index out, some give every call the index 0."""
        known = self._by_number.get(piece.index) if piece.index is not None else self._last()
        if known is None or self._begins(piece, function, known):
            known = _Call(len(self._calls))
            self._calls.append(known)
        if piece.index is not None:
            self._by_number[piece.index] = known
        return known

    def _last(self) -> _Call | None:
        return self._calls[-1] if self._calls else None

    @staticmethod
    def _begins(piece: CallPiece, function: Function, known: _Call) -> bool:
        if not function.name or not known.name:
            return bool(piece.id and known.call_id and piece.id != known.call_id and piece.index is None)
        if piece.id and known.call_id:
            return piece.id != known.call_id
        # Without an id a repeated name goes on with its call, until the arguments are whole.
        return function.name != known.name or (piece.index is None and _is_whole(known.arguments))


def _is_whole(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments)
    except NOT_UNDERSTOOD:
        return False
    return True
