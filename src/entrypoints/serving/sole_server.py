"""One server process on an embedded database: a second would take the first one's answers for abandoned."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import Unavailable
from entrypoints.settings.loading import Settings


@contextmanager
def sole_server(settings: Settings) -> Iterator[None]:
    """Holds a lock beside the database, which ends with the process. Raises Unavailable `data_in_use`."""
    if not settings.embedded or os.name != "posix":
        yield
        return
    import fcntl

    path = lock_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"Another server is running on {path.with_suffix('')}: stop it, or choose another data_dir."
            raise Unavailable("data_in_use", message) from error
        yield
    finally:
        os.close(handle)


def lock_file(settings: Settings) -> Path:
    database = Path(settings.database_url.reveal().partition(":///")[2])
    return database.with_name(f"{database.name}.lock")
