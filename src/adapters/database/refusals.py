"""What a database answers that no waiting mends: the settings must be changed."""

import ssl
from collections.abc import Iterator
from typing import Final

from asyncpg import PostgresError
from asyncpg.exceptions import ClientConfigurationError

_REFUSALS: Final = ("28", "3D000", "42501")
"""Postgres' states: who logs in and how, no such database, no right to connect to it."""


def refusal_in(trouble: BaseException) -> str | None:
    """A sentence for the operator; None for an outage."""
    for cause in _causes(trouble):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The database's certificate is not to be trusted: {cause.verify_message}."
        if isinstance(cause, ClientConfigurationError):
            return f"database_url can't be understood: {cause.args[0]}."
        if isinstance(cause, PostgresError) and (cause.sqlstate or "").startswith(_REFUSALS):
            return f"The database refuses the connection: {cause.args[0]}. Check database_url."
    return None


def _causes(trouble: BaseException | None) -> Iterator[BaseException]:
    while trouble is not None:
        yield trouble
        trouble = trouble.__cause__
