"""Identifiers: opaque strings to clients, sortable by time to us (ULID, 26 characters of Crockford base 32)."""

import os
import time
from typing import Final, NewType

UserId = NewType("UserId", str)
AgentId = NewType("AgentId", str)
DialogId = NewType("DialogId", str)
MessageId = NewType("MessageId", str)
RunId = NewType("RunId", str)
ApiKeyId = NewType("ApiKeyId", str)
FamilyId = NewType("FamilyId", str)
ModelId = NewType("ModelId", str)
ToolId = NewType("ToolId", str)
McpServerId = NewType("McpServerId", str)
FileId = NewType("FileId", str)
KnowledgeId = NewType("KnowledgeId", str)
KnowledgeFileId = NewType("KnowledgeFileId", str)
MemoryId = NewType("MemoryId", str)
ChunkId = NewType("ChunkId", int)

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> str:
    """A ULID: 48 bits of milliseconds since 1970, then 80 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
