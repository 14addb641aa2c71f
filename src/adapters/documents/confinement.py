"""What a child gives up before it reads a stranger's bytes. Each is as much as the system allows; none is needed."""

import ctypes
import os
import resource
import signal
import sys
import tempfile
from contextlib import suppress
from typing import Final

from adapters.documents.limits import ParserLimits

_MORE_SECONDS: Final = 5
_OPEN_FILES: Final = 64
_NEW_NETWORK: Final = 0x40000000
_NEW_USER: Final = 0x10000000
_CAPABILITIES_V3: Final = 0x20080522
_PARENT_DEATH_SIGNAL: Final = 1
_NO_NEW_PRIVILEGES: Final = 38


def confine(parent: int, limits: ParserLimits) -> None:
    """Ends this process if the parent is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # In a network of its own there is nobody to talk to. Before the signal, which a change of user would undo.
        if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
            libc.unshare(_NEW_NETWORK)
        # Root in there, but without any of root's powers.
        libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)())
        libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        os.nice(5)
    _leave_the_folders()
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, limits.process_bytes),
    ):
        _limit(what, most)
    if not limits.ocr:
        _limit(resource.RLIMIT_NPROC, 0)


def set_alarm(limits: ParserLimits) -> None:
    """The parent ends whoever is late. If it can't, this does, even in the midst of a library's loop."""
    signal.setitimer(signal.ITIMER_REAL, limits.timeout_seconds + _MORE_SECONDS)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    _limit(
        resource.RLIMIT_CPU, used + int(limits.timeout_seconds) * (4 if limits.ocr else 1) + _MORE_SECONDS, hard=False
    )


def clear_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def peak_memory() -> int:
    """In bytes. Where the kernel tells it: what getrusage tells begins with what the parent had."""
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _leave_the_folders() -> None:
    """The working folder is one that was removed: nothing is in it, and nothing can be put there."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    with suppress(OSError):
        os.rmdir(folder)


def _limit(what: int, most: int, *, hard: bool = True) -> None:
    with suppress(OSError, ValueError):
        _soft, highest = resource.getrlimit(what)
        if highest != resource.RLIM_INFINITY:
            most = min(most, highest)
        resource.setrlimit(what, (most, most if hard else highest))
