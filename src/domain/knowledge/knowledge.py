"""Knowledge bases and the files in them: what a file goes through until it can be searched."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.files.files import FileKind, StoredFile, without_folders
from domain.ids import FileId, KnowledgeFileId, KnowledgeId, UserId
from domain.text import block, line

NAME_MAX: Final = 64
DESCRIPTION_MAX: Final = 2000
BASES_MAX: Final = 1_000
"""Of one account."""
MOST_FILES: Final = 10_000
"""Of one base."""
MOST_ATTEMPTS: Final = 12
"""Failures that may pass: with the pauses between them this outlasts an outage of twenty minutes."""
SILENT_COSTS: Final = 3
"""A try that broke off without a reason counts as so many failures: it may have taken its worker with it."""
MOST_SILENT: Final = MOST_ATTEMPTS // SILENT_COSTS
UNREAD_COSTS: Final = 4
"""A document that took too long or too much to read counts as so many failures: it may do so at any time."""
MOST_UNREAD: Final = MOST_ATTEMPTS // UNREAD_COSTS
CONTEST_PATIENCE: Final = timedelta(minutes=3)
"""Chunks of another plan are left to whoever stores them until nobody touched the file for so long."""
MOST_REPLANNED: Final = 2
_FIRST_PAUSE: Final = timedelta(seconds=2)
_LONGEST_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KnowledgeDraft:
    """What a client says about a base, unchecked. None leaves a field as it is."""

    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """`model` is the name of the embedding model whose vectors are searched, None while retrieval is lexical alone.

    While it is `incomplete`, some chunks may lack the vector by which it is searched. `files` counts the files, `size`
    is their bytes.
    """

    knowledge_id: KnowledgeId
    user_id: UserId
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    model: str | None = None
    incomplete: bool = False
    files: int = 0
    size: int = 0

    @classmethod
    def create(
        cls, knowledge_id: KnowledgeId, owner: UserId, draft: KnowledgeDraft, model: str | None, now: datetime
    ) -> "KnowledgeBase":
        name, description = _name(draft.name or ""), _description(draft.description or "")
        return cls(knowledge_id, owner, name, description, now, now, model)

    def change(self, draft: KnowledgeDraft, now: datetime) -> "KnowledgeBase":
        return replace(
            self,
            name=self.name if draft.name is None else _name(draft.name),
            description=self.description if draft.description is None else _description(draft.description),
            updated_at=now,
        )


class IngestionStatus(StrEnum):
    PROCESS = "process"
    SUCCESS = "success"
    FAIL = "fail"


class Stage(StrEnum):
    """What is being done, in order. A file that ended keeps the stage in which it did; of success that is DONE."""

    QUEUED = "queued"
    PARSE = "parse"
    CHUNK = "chunk"
    EMBED = "embed"
    DONE = "done"


WHOLE: Final = 10_000
"""The parts in which progress is counted."""
PARTS_BEFORE: Final = {Stage.QUEUED: 0, Stage.PARSE: 200}
PARTS_READ: Final = 1_000


@dataclass(frozen=True, slots=True)
class IngestionError:
    """Why it failed, or why it will be tried again. `message` is one sentence for the file's owner."""

    code: str
    message: str


CUT_SHORT: Final = "file_cut_short"
DEFECT: Final = IngestionError(
    "internal_error", "The server failed at this file through a defect of its own; it tries again."
)
CRASHED: Final = IngestionError(
    "ingestion_crashed", f"The work on this file broke off without a reason, and {MOST_SILENT} tries are enough."
)
PLAN_CONTESTED: Final = IngestionError(
    "plan_contested",
    "Workers that read and cut differently took this file from each other; begin it anew when all are alike.",
)


@dataclass(frozen=True, slots=True)
class KnowledgeFile:
    """An uploaded file in a base. `chunks` counts those that are stored and found; `total` all, None until it is known.

    `plan` names what the chunks are cut by (parser, chunker, size): with another plan the work begins anew.
    `attempts` counts the failures since something was stored. The present try counts as one that broke off without a
    reason until it tells one. `generation` counts how often a person had it begun anew, `turn` how often work on it was
    begun: whoever began last has the say. `replanned` counts how often in this generation chunks of one plan were given
    up for those of another. `furthest` is the progress that was seen before of this generation, in parts, which the
    database keeps.
    """

    knowledge_file_id: KnowledgeFileId
    knowledge_id: KnowledgeId
    user_id: UserId
    file_id: FileId
    name: str
    kind: FileKind
    size: int
    created_at: datetime
    updated_at: datetime
    status: IngestionStatus = IngestionStatus.PROCESS
    stage: Stage = Stage.QUEUED
    chunks: int = 0
    total: int | None = None
    plan: str | None = None
    attempts: int = 0
    generation: int = 0
    turn: int = 0
    replanned: int = 0
    error: IngestionError | None = None
    furthest: int = field(default=0, compare=False)

    @classmethod
    def create(
        cls, knowledge_file_id: KnowledgeFileId, knowledge_id: KnowledgeId, file: StoredFile, now: datetime
    ) -> "KnowledgeFile":
        # Some clients send the whole path, which a search would show to everybody who reads its citations.
        name = without_folders(file.name) or file.name
        return cls(knowledge_file_id, knowledge_id, file.user_id, file.file_id, name, file.kind, file.size, now, now)

    @property
    def progress(self) -> float:
        """From 0 to 1; 1 for success and for nothing else. Reading counts for a tenth.

        Work that is done again, after a crash or by another plan, does not take it back.
        """
        if self.status is IngestionStatus.SUCCESS:
            return 1.0
        return min(WHOLE - 100, max(self.furthest, self._parts)) / WHOLE

    @property
    def _parts(self) -> int:
        stored = (WHOLE - PARTS_READ) * self.chunks // self.total if self.total and self.stage is Stage.EMBED else 0
        return PARTS_BEFORE.get(self.stage, PARTS_READ + stored)

    @property
    def is_complete(self) -> bool:
        """All chunks of a plan are stored: of the present one, or, where it was begun anew, of the one before."""
        return self.plan is not None and self.chunks == self.total

    @property
    def is_given_up(self) -> bool:
        """It will fail; what is stored of it is still to be taken away."""
        return not may_try_again(self.attempts)

    def is_of_others(self, plan: str) -> bool:
        """In this generation chunks were stored by another plan: its worker has other libraries, or other settings."""
        return self.stage is Stage.EMBED and self.chunks > 0 and self.plan not in (None, plan)

    def is_left_alone(self, now: datetime) -> bool:
        return now - self.updated_at >= CONTEST_PATIENCE

    def taken_over(self, now: datetime) -> "KnowledgeFile":
        """From workers with another plan, which seem to be gone. Where they come back again and again, it ends."""
        if self.replanned >= MOST_REPLANNED:
            return self.given_up(PLAN_CONTESTED, now)
        return replace(self.without_plan(now), replanned=self.replanned + 1)

    def begun(self, now: datetime) -> "KnowledgeFile":
        """A try is counted before it is made: it may be the last thing that its worker does.

        It knows no error: where one breaks off without a word, that of the try before is not the reason.
        """
        stage = Stage.PARSE if self.stage is Stage.QUEUED else self.stage
        attempts = self.attempts + SILENT_COSTS
        return replace(self, stage=stage, attempts=attempts, turn=self.turn + 1, error=None, updated_at=now)

    def not_tried(self, now: datetime) -> "KnowledgeFile":
        """The try was called off through no fault of the file."""
        return replace(self, attempts=max(0, self.attempts - SILENT_COSTS), updated_at=now)

    def advanced(self, now: datetime) -> "KnowledgeFile":
        """Something was stored: failures before that count no more."""
        return replace(self, attempts=0, error=None, updated_at=now)

    def at(self, stage: Stage, now: datetime) -> "KnowledgeFile":
        return replace(self, stage=stage, updated_at=now)

    def without_plan(self, now: datetime) -> "KnowledgeFile":
        """Nothing is stored for it, by anybody, until it has a plan."""
        return replace(self, plan=None, total=None, updated_at=now)

    def planned(self, plan: str, total: int, now: datetime) -> "KnowledgeFile":
        return replace(self, stage=Stage.EMBED, plan=plan, total=total, chunks=0, updated_at=now)

    def set_back(self, error: IngestionError, now: datetime, costs: int = 1) -> "KnowledgeFile":
        """The try told its reason: it counts as one failure, or as a costly one; as none where it is left to others."""
        return replace(self, error=error, attempts=max(0, self.attempts - SILENT_COSTS) + costs, updated_at=now)

    def given_up(self, error: IngestionError, now: datetime) -> "KnowledgeFile":
        return replace(self, error=error, attempts=MOST_ATTEMPTS, updated_at=now)

    def failed(self, now: datetime) -> "KnowledgeFile":
        """Without any chunk. Without an error, the last try broke off before it could tell of one."""
        gone = self.without_plan(now)
        return replace(gone, status=IngestionStatus.FAIL, chunks=0, error=self.error or CRASHED)

    def kept(self, now: datetime) -> "KnowledgeFile":
        """It could not be begun anew, and stays as it was; the error says why."""
        done = self.succeeded(now)
        return replace(done, error=self.error or CRASHED)

    def succeeded(self, now: datetime, left_out: str | None = None) -> "KnowledgeFile":
        """Whoever searches a part of a document is told what was left out of it: the one error that success knows."""
        error = IngestionError(CUT_SHORT, f"Only a part can be searched: {left_out}") if left_out else None
        return replace(self.advanced(now), status=IngestionStatus.SUCCESS, stage=Stage.DONE, error=error)


def pause_before(attempt: int) -> timedelta:
    """How long to wait before the try that follows so many failures, the first of which is 1: longer and longer."""
    doublings = min(max(attempt, 1) - 1, 30)
    return min(_FIRST_PAUSE * (1 << doublings), _LONGEST_PAUSE)


def may_try_again(attempts: int) -> bool:
    """After so many failures."""
    return attempts < MOST_ATTEMPTS


def _name(raw: str) -> str:
    return line("knowledge_name", raw, minimum=1, maximum=NAME_MAX)


def _description(raw: str) -> str:
    return block("knowledge_desc", raw, maximum=DESCRIPTION_MAX)
