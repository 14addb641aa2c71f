"""The tools as MCP describes them, and their results as MCP shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from application.knowledge.retrieval import Retrieval
from application.programs.shared_agents import Reply
from domain.agents.agents import Agent
from domain.dialogs.messages import AnswerStatus, Citation, ToolStep
from domain.errors import DomainError
from domain.files.attachments import WARNING
from domain.knowledge.citations import numbered
from domain.knowledge.shown_passages import passages_text
from entrypoints.http.chat_views import CitationView
from entrypoints.http.wording import plain

MOST_TOKENS: Final = 8_000
"""Of the passages of one search."""
NOTHING: Final = "Nothing was found in the agent's knowledge."
LONGEST_TEXT: Final = 100_000
"""Characters of an answer: clients refuse results of more than a megabyte, and the whole stands in the dialog."""
_MOST_CITED: Final = 50
_CITED: Final = 500
"""Characters of each passage that an answer cites."""
_CUT_OFF: Final = "\n\n[The answer is longer: the whole stands in the dialog.]"
_LONGEST_ARGUMENTS: Final = 2_000
_DESCRIBED: Final = 300

Arguments = TypeVar("Arguments", bound=Struct)
Result = Mapping[str, Any]


class ListArguments(Struct, forbid_unknown_fields=True):
    cursor: str | None = None


class SearchArguments(Struct, forbid_unknown_fields=True):
    agent: str
    query: str
    top_k: Annotated[int, Meta(ge=1, le=10)] = 5


class AskArguments(Struct, forbid_unknown_fields=True):
    agent: str
    question: str
    dialog_id: str | None = None


class WrongArguments(Exception):
    """The message tells a model what was wrong."""


def _tool(name: str, title: str, description: str, required: Sequence[str], **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    hints = {"readOnlyHint": name != "ask_agent", "openWorldHint": name == "ask_agent", "destructiveHint": False}
    return {"name": name, "title": title, "description": description, "inputSchema": schema, "annotations": hints}


_AGENT: Final = {"type": "string", "description": "The agent's id, or its exact name, as list_agents shows them."}

TOOLS: Final = (
    _tool(
        "list_agents",
        "List agents",
        "Lists the agents that you may ask, with their ids, the newest first.",
        (),
        cursor={"type": "string", "description": "next_cursor of the page before."},
    ),
    _tool(
        "search_knowledge",
        "Search knowledge",
        "Searches the knowledge bases of an agent, and gives passages of their documents with numbers to cite.",
        ("agent", "query"),
        agent=_AGENT,
        query={"type": "string", "description": "What to look for, in the documents' language."},
        top_k={"type": "integer", "minimum": 1, "maximum": 10, "description": "How many passages; 5 if absent."},
    ),
    _tool(
        "ask_agent",
        "Ask an agent",
        "Asks an agent, which may search its knowledge and use its tools, and gives its answer.",
        ("agent", "question"),
        agent=_AGENT,
        question={"type": "string", "description": "All that the agent needs to know: it sees nothing else."},
        dialog_id={
            "type": "string",
            "description": "Names a conversation, by any text of yours: give the same again to go on with it.",
        },
    ),
)


def arguments_of(given: object, wanted: type[Arguments]) -> Arguments:
    """Raises WrongArguments."""
    try:
        return msgspec.convert({} if given is None else given, wanted)
    except msgspec.ValidationError as problem:
        place = str(problem).partition(" - at `$.")[2].rstrip("`")
        raise WrongArguments(f"{place or 'arguments'}: {plain(str(problem))}") from problem


def agents_shown(agents: Sequence[Agent], next_cursor: str | None) -> Result:
    lines = [f"{one.agent_id}: {one.name}{_described(one)}" for one in agents]
    if next_cursor:
        lines.append(f"There are more: call with cursor {next_cursor}")
    views = [
        {
            "agent_id": one.agent_id,
            "name": one.name,
            "description": one.description[:_DESCRIBED],
            "built_in": not one.is_custom,
            "has_knowledge": bool(one.knowledge_ids),
        }
        for one in agents
    ]
    cursor = {"next_cursor": next_cursor} if next_cursor else {}
    return _result("\n".join(lines), {"agents": views, **cursor})


def passages_shown(found: Retrieval) -> Result:
    text = passages_text(enumerate(found.passages, 1), MOST_TOKENS)
    citations = numbered([passage for _, passage in text.shown])
    shown = {"passages": [CitationView.of(one) for one in citations], "lexical_only": found.lexical_only}
    return _result(f"{WARNING} Cite as [1].\n{text.text}" if text.shown else NOTHING, shown)


def reply_shown(reply: Reply) -> Result:
    run, done = reply.run, reply.finished
    shown: dict[str, Any] = {"run_id": run.run_id, "dialog_id": run.dialog_id, "message_id": run.message_id}
    if reply.waiting:
        calls = [{"tool_call_id": one.tool_call_id, "tool": one.tool_name} for one in reply.waiting]
        return _result(_waiting(reply), {**shown, "status": "waiting", "waiting": calls})
    if done is None:
        return _result("The answer was cut off.", {**shown, "status": "interrupted"}, is_error=True)
    shown |= {"status": done.status, "citations": [_cited(one) for one in done.citations[:_MOST_CITED]]}
    content = done.content if len(done.content) <= LONGEST_TEXT else done.content[:LONGEST_TEXT] + _CUT_OFF
    if done.status is AnswerStatus.COMPLETE:
        return _result(content, shown)
    why = reply.failure.message if reply.failure else f"The answer is not whole: it was {done.status}."
    if reply.failure:
        shown["code"] = reply.failure.code
    return _result(f"{content}\n\n{why}" if content else why, shown, is_error=True)


def refused(refusal: DomainError) -> Result:
    """For the model: what was wrong, and whether to try again."""
    wait = {} if refusal.retry_after is None else {"retry_after": refusal.retry_after}
    return _result(refusal.message, {"code": refusal.code, **wait}, is_error=True)


def wrong(problem: WrongArguments) -> Result:
    return _result(str(problem), {"code": "invalid_value"}, is_error=True)


def _result(text: str, structured: Mapping[str, Any], *, is_error: bool = False) -> Result:
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": is_error}


def _cited(one: Citation) -> CitationView:
    return CitationView.of(replace(one, content=one.content[:_CITED]))


def _described(agent: Agent) -> str:
    words = " ".join(agent.description.split())
    return f" - {words[:_DESCRIBED]}" if words else ""


def _waiting(reply: Reply) -> str:
    """For the model, which must not give the word itself: what that needs stands in the structure alone."""
    calls = "\n".join(_call(one) for one in reply.waiting)
    return (
        f"There is no answer yet: the run waits until a person approves or declines these calls.\n{calls}\n"
        f"Nobody but the person decides. The answer will then stand in the dialog {reply.run.dialog_id}."
    )


def _call(step: ToolStep) -> str:
    arguments = (step.arguments or "{}")[:_LONGEST_ARGUMENTS]
    return f"{step.tool_name} {arguments}"
