"""What embedding a file taught of a model's pace, embedding a base anew knows."""

from pathlib import Path

from application.jobs.jobs_by_kind import DoJob
from application.knowledge.ingestion import Ingest
from application.knowledge.reindexing import Reindex
from application.ports.job_queue import JobHandler, JobKind
from entrypoints.graph.container import make_container
from entrypoints.settings.loading import load_settings


async def test_all_who_embed_in_a_process_share_one_pace(tmp_path: Path) -> None:
    container = make_container(load_settings({"AGENTCHAT_DATA_DIR": str(tmp_path)}, tmp_path))
    try:
        do = await container.get(JobHandler)
        assert isinstance(do, DoJob)
        ingest, reindex = do.handlers[JobKind.INGEST], do.handlers[JobKind.REINDEX]
        assert isinstance(ingest, Ingest)
        assert isinstance(reindex, Reindex)
        assert reindex.embedded is ingest.steps.embedded
    finally:
        await container.close()


async def test_there_is_somebody_for_each_kind_of_job(tmp_path: Path) -> None:
    container = make_container(load_settings({"AGENTCHAT_DATA_DIR": str(tmp_path)}, tmp_path))
    try:
        do = await container.get(JobHandler)
        assert isinstance(do, DoJob)
        assert set(do.handlers) == set(JobKind)
    finally:
        await container.close()
