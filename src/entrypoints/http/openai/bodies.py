"""What clients of chat completions send, as far as we read it. What only tunes sampling is not read at all."""

from typing import Any

from msgspec import Struct


class ImageUrl(Struct):
    url: str


class Part(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None


class CalledFunction(Struct):
    name: str
    arguments: str = ""


class Call(Struct):
    id: str
    function: CalledFunction | None = None


class MessageBody(Struct):
    role: str
    content: str | list[Part] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    type: str
    function: Function | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class CompletionBody(Struct):
    """The fields from `n` on change the shape of an answer: they are read to be refused."""

    model: str
    messages: list[MessageBody]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    web_search_options: Any = None
