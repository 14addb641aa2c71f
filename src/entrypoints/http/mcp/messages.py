"""JSON-RPC 2.0 as MCP uses it: one message a body, no batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

_LARGEST_ID: Final = 2**63
_LONGEST_ID: Final = 1024

RequestId = str | int


class RpcError(Exception):
    """A message that can't be served. `request_id` is that of the message, where it is known."""

    def __init__(self, code: int, message: str, data: object = None, request_id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or a notification when it has no id. A client's response has no method."""

    method: str
    request_id: RequestId | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meta(self) -> Mapping[str, Any]:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def progress_token(self) -> RequestId | None:
        token = self.meta.get("progressToken")
        return token if is_id(token) else None


def read(body: bytes) -> Message:
    """Raises RpcError."""
    decoded = _decoded(body)
    if isinstance(decoded, list):
        raise RpcError(INVALID_REQUEST, "Batches are not taken: send one message at a time.")
    if not isinstance(decoded, dict) or decoded.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'The body must be a JSON-RPC message: an object with "jsonrpc": "2.0".')
    request_id, method, params = decoded.get("id"), decoded.get("method"), decoded.get("params", {})
    if "id" in decoded and not is_id(request_id):
        raise RpcError(INVALID_REQUEST, "id must be a string or an integer.")
    if method is None and ("result" in decoded or "error" in decoded):
        return Message("", request_id)
    if not isinstance(method, str) or not method:
        raise RpcError(INVALID_REQUEST, "method must be a string.", request_id=request_id)
    if params is not None and not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object.", request_id=request_id)
    return Message(method, request_id, params or {})


def is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_ID
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST_ID <= value < _LARGEST_ID


def result(request_id: RequestId, value: object) -> Mapping[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "result": value}


def error(request_id: RequestId | None, code: int, message: str, data: object = None) -> Mapping[str, object]:
    told = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "id": request_id, "error": told}


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from problem
    except RecursionError as problem:
        raise RpcError(PARSE_ERROR, "The body is nested too deeply.") from problem
