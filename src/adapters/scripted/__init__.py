"""A chat model that plays a script, for tests: a fake with behaviour, whose state is asserted."""

from adapters.scripted.chat_model import ScriptedChatModel, ScriptedChatModels
from adapters.scripted.steps import Hold, Pause, Step, Turn, call, call_piece, delta, fail, finished, hold, pause, think

__all__ = [
    "Hold",
    "Pause",
    "ScriptedChatModel",
    "ScriptedChatModels",
    "Step",
    "Turn",
    "call",
    "call_piece",
    "delta",
    "fail",
    "finished",
    "hold",
    "pause",
    "think",
]
