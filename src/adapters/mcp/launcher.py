"""Runs as a process of its own, with nothing but the standard library: starts a server, and ends with all it started.

Arguments: the process id of whoever starts it, then the command. It stays as long as the command does. When its
parent dies it ends the whole group: of the programs that a command starts, few notice that by themselves.
"""

import ctypes
import os
import signal
import sys

NOT_STARTED = 127
_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    # Some event loops leave a second copy of each of a child's ends open.
    os.closerange(3, 1024)
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGTERM, end_all)
    end_with(parent, signal.SIGTERM)
    watcher = os.getpid()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_with(watcher, signal.SIGKILL)
        try:
            os.execvp(command[0], command)  # noqa: S606 - an admin chose it, and no shell reads it
        except OSError:
            os._exit(NOT_STARTED)
    let_go_of_the_pipes()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == NOT_STARTED:
        os._exit(NOT_STARTED)
    end_all()


def end_with(parent: int, number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def let_go_of_the_pipes() -> None:
    """So that they end when the command does."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)


def end_all(*_: object) -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
