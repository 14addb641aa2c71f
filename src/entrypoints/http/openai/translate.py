"""From a chat completions request to what is asked: pure translation, which names the place of a mistake."""

import base64
import binascii
import hashlib
import json
import re
from typing import Any, Final

from application.programs.compatible import CompatibleRequest
from domain.chat.callers import CallersTools, OfferedTool, stop_words
from domain.chat.told_messages import Message, Role, continued, conversation_of, telling_of
from domain.conversation.answer_forms import AnswerForm
from domain.conversation.tool_choice import AS_IT_LIKES, ChoiceKind, ToolChoice
from domain.errors import InvalidValue
from domain.text import storable
from domain.tools.tool_names import tool_name
from domain.tools.tools import ToolCall
from entrypoints.http.openai.bodies import Call, CompletionBody, MessageBody, Part, Tool

MOST_TOKENS: Final = 100_000_000
MOST_TOOL_TOKENS: Final = 200_000
LONGEST_CALL_ID: Final = 256
_ROLES: Final = {
    "system": Role.INSTRUCTIONS,
    "developer": Role.INSTRUCTIONS,
    "user": Role.USER,
    "assistant": Role.AGENT,
    "tool": Role.TOOL,
}
_DATA_URL: Final = re.compile(r"data:[^,;]{0,100}(?:;[^,;]{0,100})*;base64,", re.IGNORECASE)
_KINDS: Final = {"auto": ChoiceKind.AUTO, "none": ChoiceKind.NONE, "required": ChoiceKind.REQUIRED}


def asked_of(body: CompletionBody, raw: bytes, dialog_id: str | None) -> CompatibleRequest:
    """Raises InvalidValue."""
    _refuse_other_shapes(body)
    if body.store is False and dialog_id is not None:
        raise InvalidValue("store", "can't be false where X-Dialog-ID names a dialog, which is kept")
    messages = [_message(one, f"messages[{number}]") for number, one in enumerate(body.messages)]
    return CompatibleRequest(
        body.model,
        telling_of(messages),
        _tools(body),
        conversation_of(messages),
        continued(messages),
        hashlib.sha256(raw + repr(dialog_id).encode(errors="replace")).hexdigest(),
        dialog_id,
        _limit(body),
        passing=body.store is False,
        stop=stop_words([body.stop] if isinstance(body.stop, str) else body.stop or ()) if body.stop else (),
        form=_form(body.response_format),
    )


def _refuse_other_shapes(body: CompletionBody) -> None:
    given = {
        "n": body.n not in (None, 1),
        "logprobs": bool(body.logprobs),
        "top_logprobs": bool(body.top_logprobs),
        "modalities": body.modalities is not None and body.modalities != ["text"],
        "audio": body.audio is not None,
        "functions": body.functions is not None,
        "function_call": body.function_call is not None,
        "web_search_options": body.web_search_options is not None,
    }
    for name, unwanted in given.items():
        if unwanted:
            advice = "; send tools and tool_choice" if name.startswith("function") else ""
            raise InvalidValue(name, f"can't be honoured here: leave it out{advice}")


def _form(given: dict[str, Any] | None) -> AnswerForm | None:
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return AnswerForm()
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            try:
                return AnswerForm(storable("response_format", json.dumps(schema, ensure_ascii=False)))
            except (ValueError, RecursionError) as error:
                raise InvalidValue("response_format", "has a schema that can't be read") from error
        case _:
            raise InvalidValue("response_format", "must be of type text, json_object, or json_schema with its schema")


def _limit(body: CompletionBody) -> int | None:
    for name, given in (("max_completion_tokens", body.max_completion_tokens), ("max_tokens", body.max_tokens)):
        if given is not None:
            if not 1 <= given <= MOST_TOKENS:
                raise InvalidValue(name, f"must be 1 to {MOST_TOKENS}")
            return given
    return None


def _message(body: MessageBody, place: str) -> Message:
    role = _ROLES.get(body.role)
    if role is None:
        raise InvalidValue(f"{place}.role", "must be system, developer, user, assistant or tool")
    texts, images = _content(body.content, f"{place}.content", sees=role is Role.USER)
    if role is Role.AGENT and body.refusal:
        texts.append(body.refusal)
    calls = _calls(body.tool_calls or (), f"{place}.tool_calls") if role is Role.AGENT else ()
    if role is Role.TOOL and not body.tool_call_id:
        raise InvalidValue(f"{place}.tool_call_id", "is required")
    text = storable(f"{place}.content", "".join(texts))
    return Message(role, text, tuple(images), calls, body.tool_call_id or "", place)


def _content(content: str | list[Part] | None, place: str, *, sees: bool) -> tuple[list[str], list[bytes]]:
    if not isinstance(content, list):
        return [content or ""], []
    texts: list[str] = []
    images: list[bytes] = []
    for number, part in enumerate(content):
        where = f"{place}[{number}]"
        if part.type == "image_url" and sees:
            images.append(_image(part, f"{where}.image_url"))
        elif part.type == "refusal":
            texts.append(part.refusal or "")
        elif part.type == "text":
            # Parts of a document's text are paragraphs, not the halves of a word.
            texts.append(f"\n{part.text or ''}" if texts else part.text or "")
        else:
            takes = "text or image_url" if sees else "text"
            raise InvalidValue(f"{where}.type", f"must be {takes}")
    return texts, images


def _image(part: Part, place: str) -> bytes:
    url = part.image_url.url if part.image_url else ""
    found = _DATA_URL.match(url)
    if found is None:
        problem = "must be a data: URL with the image itself, in base64; other addresses are never fetched"
        raise InvalidValue(f"{place}.url", problem)
    try:
        return base64.b64decode(url[found.end() :].rstrip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"{place}.url", "is not valid base64") from error


def _calls(calls: "list[Call] | tuple[()]", place: str) -> tuple[ToolCall, ...]:
    return tuple(_call(one, f"{place}[{number}]") for number, one in enumerate(calls))


def _call(call: Call, place: str) -> ToolCall:
    if call.function is None:
        raise InvalidValue(f"{place}.type", "must be function")
    if not 1 <= len(call.id) <= LONGEST_CALL_ID:
        raise InvalidValue(f"{place}.id", f"must have 1 to {LONGEST_CALL_ID} characters")
    arguments = storable(f"{place}.function.arguments", call.function.arguments)
    return ToolCall(call.id, tool_name(call.function.name), arguments or "{}")


def _tools(body: CompletionBody) -> CallersTools:
    tools = [_tool(one, f"tools[{number}]") for number, one in enumerate(body.tools or ())]
    read = CallersTools.of(tools, _choice(body.tool_choice), one_at_a_time=body.parallel_tool_calls is False)
    if sum(spec.tokens for spec in read.specs) > MOST_TOOL_TOKENS:
        raise InvalidValue("tools", f"must have at most {MOST_TOOL_TOKENS:,} tokens together")
    return read


def _tool(tool: Tool, place: str) -> OfferedTool:
    if tool.type != "function" or tool.function is None:
        raise InvalidValue(f"{place}.type", "must be function")
    function = tool.function
    description = storable(f"{place}.function.description", function.description or "")
    return OfferedTool(function.name, description, function.parameters or {})


def _choice(given: str | dict[str, Any] | None) -> ToolChoice:
    if given is None:
        return AS_IT_LIKES
    if isinstance(given, str):
        if given not in _KINDS:
            raise InvalidValue("tool_choice", "must be auto, none, required, or the name of a function")
        return ToolChoice(_KINDS[given])
    function = given.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if given.get("type") != "function" or not isinstance(name, str):
        raise InvalidValue("tool_choice", "must be auto, none, required, or the name of a function")
    return ToolChoice(ChoiceKind.NAMED, name)
