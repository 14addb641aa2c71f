"""Models and servers that play a script, for tests: fakes with behaviour, whose state is asserted."""

from adapters.scripted.api_documents import ScriptedApiDocuments
from adapters.scripted.arguments import RequiredArguments
from adapters.scripted.chat_model import ScriptedChatModel, ScriptedChatModels
from adapters.scripted.embedder import ScriptedEmbedder, ScriptedEmbedders, embedding_failure, vector_of
from adapters.scripted.guarded_web import ScriptedWeb, answered
from adapters.scripted.mcp_connections import ScriptedMcpConnections
from adapters.scripted.steps import Hold, Pause, Step, Turn, call, call_piece, delta, fail, finished, hold, pause, think

__all__ = [
    "Hold",
    "Pause",
    "RequiredArguments",
    "ScriptedApiDocuments",
    "ScriptedChatModel",
    "ScriptedChatModels",
    "ScriptedEmbedder",
    "ScriptedEmbedders",
    "ScriptedMcpConnections",
    "ScriptedWeb",
    "Step",
    "Turn",
    "answered",
    "call",
    "call_piece",
    "delta",
    "embedding_failure",
    "fail",
    "finished",
    "hold",
    "pause",
    "think",
    "vector_of",
]
