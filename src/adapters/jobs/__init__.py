"""The queue on Postgres, over pgqueuer's tables and statements."""

from adapters.jobs.postgres import PostgresJobs
from adapters.jobs.schema import install

__all__ = ["PostgresJobs", "install"]
