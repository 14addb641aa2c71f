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


class CachedTokens(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: CachedTokens | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for the cached ones."""


class WireError(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None
    status: str | int | None = None
    param: str | None = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: WireError | str | None = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
