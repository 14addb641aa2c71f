"""The queue on Postgres, over pgqueuer's tables and statements."""

from adapters.jobs.postgres import PostgresJobs

__all__ = ["PostgresJobs"]
