"""Messages as rows: pure translation."""

import json
from typing import Any, Final

import msgspec

from domain.conversation.conversation import Usage
from domain.dialogs.messages import Answer, AnswerStatus, Citation, Exchange, Feedback, Message, Question, ToolStep
from domain.files.files import Attachment
from domain.tools.tools import ToolRound

_steps_of: Final = msgspec.json.Decoder(tuple[ToolStep, ...]).decode
_rounds_of: Final = msgspec.json.Decoder(tuple[ToolRound, ...]).decode
_attachments_of: Final = msgspec.json.Decoder(tuple[Attachment, ...]).decode
_citations_of: Final = msgspec.json.Decoder(tuple[Citation, ...]).decode


def to_message(row: Any) -> Message:
    """From the columns of `messages` in their order, without those that only the database needs."""
    message_id, dialog_id, created_at, content, feedback, status, run_id, model, *rest = row
    rating = None if feedback is None else Feedback(feedback)
    if status is None:
        return Question(message_id, dialog_id, content, created_at, rating, _attachments(rest[-3]))
    (
        input_tokens,
        output_tokens,
        cached_tokens,
        estimated,
        steps,
        rounds,
        citations,
        finish_reason,
        failure,
        closed_at,
        _,
        agent_id,
        agent_version,
    ) = rest
    return Answer(
        message_id,
        dialog_id,
        run_id,
        AnswerStatus(status),
        created_at,
        content,
        model,
        Usage(input_tokens, output_tokens, cached_tokens, estimated),
        () if steps == "[]" else _steps_of(steps),
        _rounds(rounds),
        () if citations == "[]" else _citations_of(citations),
        finish_reason,
        failure,
        closed_at,
        rating,
        agent_id=agent_id,
        agent_version=agent_version,
    )


def to_exchange(row: Any) -> Exchange:
    _, question, attachments, answer, rounds = row
    return Exchange(question, answer, _rounds(rounds), _attachments(attachments))


def from_answer(answer: Answer) -> dict[str, Any]:
    """The values of an answer's row that change while it lives, and what it is made by."""
    usage = answer.usage
    return {
        "a_run_id": answer.run_id,
        "a_content": storable(answer.content),
        "a_status": answer.status.value,
        "a_model": answer.model,
        "a_input_tokens": usage.input_tokens,
        "a_output_tokens": usage.output_tokens,
        "a_cached_tokens": usage.cached_tokens,
        "a_estimated": usage.estimated,
        "a_steps": _json(answer.steps),
        "a_rounds": _json(answer.rounds),
        "a_citations": _json(answer.citations),
        "a_finish_reason": answer.finish_reason,
        "a_failure": answer.failure,
        "a_closed_at": answer.closed_at,
        "a_agent_id": answer.agent_id,
        "a_agent_version": answer.agent_version,
    }


def from_attachments(attachments: tuple[Attachment, ...]) -> str | None:
    """NULL for most questions, and for those that were asked before there were files."""
    return _json(attachments) if attachments else None


def storable(text: str) -> str:
    """What a model wrote, with U+FFFD for NUL and "?" for lone surrogates: an answer is never lost for these."""
    if text.isascii():
        return text.replace("\x00", "\ufffd")
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _rounds(stored: str) -> tuple[ToolRound, ...]:
    return () if stored == "[]" else _rounds_of(stored)


def _attachments(stored: str | None) -> tuple[Attachment, ...]:
    return () if stored is None else _attachments_of(stored)


def to_rounds(stored: str) -> tuple[ToolRound, ...]:
    return _rounds(stored)


def _json(values: tuple[Any, ...]) -> str:
    if not values:
        return "[]"
    try:
        return msgspec.json.encode(values).decode()
    except UnicodeEncodeError:
        return storable(json.dumps(msgspec.to_builtins(values), ensure_ascii=False))
