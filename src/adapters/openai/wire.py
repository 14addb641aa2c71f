"""The chunks of a streamed chat completion, as far as we read them. Everything may be missing: servers differ."""

import msgspec


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, object] | None = None


class CallPiece(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class WireError(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None
    status: str | int | float | None = None
    param: str | None = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: object = None
    """Read leniently: an answer is worth more than its counts."""
    error: WireError | str | None = None


NOT_UNDERSTOOD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be."""

decode_chunk = msgspec.json.Decoder(Chunk).decode
