"""The agent loop over tools that a test holds in its hand."""

from adapters.scripted import RequiredArguments
from application.chat.agent_loop import AgentLoop
from application.tools.tool_calls import CallTools
from domain.tools.tools import ToolCall


def loop(max_turns: int = 4, timeout: float = 5) -> AgentLoop:
    return AgentLoop(max_turns, CallTools(timeout, RequiredArguments(), _unforeseen))


def _unforeseen(call: ToolCall, defect: Exception) -> None:
    raise AssertionError(f"{call.name} crashed") from defect
