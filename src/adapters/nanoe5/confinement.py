"""What the child gives up before it reads a stranger's text. Each is as much as the system allows; none is needed."""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

MOST_MEMORY: Final = 1 << 30
_OPEN_FILES: Final = 16
_NEW_NETWORK: Final = 0x40000000
_NEW_USER: Final = 0x10000000
_CAPABILITIES_V3: Final = 0x20080522
_PARENT_DEATH_SIGNAL: Final = 1
_NO_NEW_PRIVILEGES: Final = 38


def confine(parent: int) -> None:
    """No network, no files to write, no children. Ends this process if the parent is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # Before the signal, which a change of user would undo.
        if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
            libc.unshare(_NEW_NETWORK)
        libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)())
        libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, MOST_MEMORY),
    ):
        _limit(what, most)


def _limit(what: int, most: int) -> None:
    with suppress(OSError, ValueError):
        _soft, highest = resource.getrlimit(what)
        if highest != resource.RLIM_INFINITY:
            most = min(most, highest)
        resource.setrlimit(what, (most, most))
