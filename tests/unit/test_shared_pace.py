"""What embedding a file taught of a model's pace, embedding a base anew knows."""

from pathlib import Path

from application.ingestion_jobs import DoJob
from entrypoints.container import make_container
from entrypoints.settings import Settings, derived
from entrypoints.worker import JobHandler


async def test_all_who_embed_in_a_process_share_one_pace(tmp_path: Path) -> None:
    container = make_container(derived(Settings(data_dir=tmp_path), {}))
    try:
        do = await container.get(JobHandler)
        assert isinstance(do, DoJob)
        assert do.reindex.embedded is do.ingest.steps.embedded
    finally:
        await container.close()
