"""`python -I -S tethered.py PARENT COMMAND...`: become a command that does not outlive PARENT, the process that waits.

On Linux the kernel ends this process with the thread that started it (PR_SET_PDEATHSIG), however that ends; the
setting stays when the command takes the process over. So whoever starts it must wait for it on the same thread, as
`run_bounded` does. What the command itself starts is not bound. Standard library only, and little of it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    """Become the command; the exit status if that cannot be."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before
        return 1
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a command would inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command of run_bounded
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
