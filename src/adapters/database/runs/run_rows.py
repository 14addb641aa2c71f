"""Runs as rows: pure translation. A bound value of a run is named after its column, with `r_` before it."""

from typing import Any

from adapters.database.conversations.message_rows import from_answer, from_attachments
from domain.dialogs.messages import Answer, Question
from domain.ids import RunId
from domain.runs.runs import Idempotency, Run, RunStatus


def to_run(row: Any) -> Run:
    """From the columns of `runs` in their order, and the last number of its log in place of `has_log`."""
    run_id, user_id, dialog_id, message_id, status, created_at, lease_until, key, digest, *rest = row
    given = None if key is None else Idempotency(key, digest)
    stop_requested, followed_until, closed_at, last_seq = rest
    return Run(
        run_id,
        user_id,
        dialog_id,
        message_id,
        RunStatus(status),
        created_at,
        lease_until,
        given,
        stop_requested,
        followed_until,
        closed_at,
        last_seq or 0,
    )


def from_opening(run: Run, question: Question, answer: Answer) -> dict[str, Any]:
    """The values of a new run's row, its question's and its answer's."""
    given = run.idempotency
    return {
        "owner": run.user_id,
        "dialog": run.dialog_id,
        "id": run.run_id,
        "r_message_id": run.message_id,
        "r_status": run.status.value,
        "r_created_at": run.created_at,
        "r_lease_until": run.lease_until,
        "r_idempotency_key": None if given is None else given.key,
        "r_request_digest": None if given is None else given.digest,
        "r_stop_requested": run.stop_requested,
        "r_followed_until": run.followed_until,
        "q_message_id": question.message_id,
        "q_created_at": question.created_at,
        "q_content": question.content,
        "q_attachments": from_attachments(question.attachments),
        "a_message_id": answer.message_id,
        "a_created_at": answer.created_at,
        **from_answer(answer),
    }


def asked_to_stop(rows: Any) -> dict[RunId, bool]:
    return {RunId(run_id): bool(stop_requested) for run_id, stop_requested, *_ in rows}
