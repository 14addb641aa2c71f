"""Where servers of the tests keep their data: in memory where the machine lends enough of it.

A database for each test means hundreds of thousands of small files: on a disk they take most of the time of the tests.
None of these servers must survive the machine.
"""

import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
# Containers lend 64 MB, and a worker's servers take some hundreds.
_ENOUGH = 4 << 30
DISK = Path("/tmp")


def roomy_folder(memory: Path = _MEMORY) -> Path:
    try:
        free = shutil.disk_usage(memory).free
    except OSError:
        return DISK
    return memory if free >= _ENOUGH else DISK
