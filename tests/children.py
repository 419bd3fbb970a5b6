"""Child processes of the ipc tests: forked before any handle is open, killed on purpose, always reaped.

No test waits for ever: `hear` fails at once where the child has ended, a loop that waits for what a child does asks a
Patience each time round, and what runs in an interpreter of its own has a time limit.
"""
import ctypes
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
import traceback

PR_SET_PDEATHSIG = 1
LIMIT_S = 600 * max(1.0, int(os.environ.get("FIXWIRE_KILLS", "1000")) / 1000)


class Patience:
    """How long a loop may go on without what it waits for: `check` it each time round, `again` when something came."""

    def __init__(self, seconds=60):
        self.seconds = seconds
        self.again()

    def again(self):
        self.end = time.monotonic() + self.seconds

    def check(self, *seen):
        """Fails the test, saying what was `seen`, once the time is over."""
        if time.monotonic() > self.end:
            raise AssertionError(f"nothing more came for {self.seconds} s; seen: {', '.join(map(str, seen))}")


class Child:
    """Runs `work(say)` in a forked process. `say(text)` sends a line; `hear()` returns it; `kill()` is SIGKILL."""

    def __init__(self, work):
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)       # never outlives who waits for it
                os.close(self._read)
                work(lambda text: os.write(write, (str(text) + "\n").encode()))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        self._lines = os.fdopen(self._read)
        self.status = None

    def hear(self, timeout_s=60):
        """The next line the child says; fails the test where none comes, at once if the child has ended."""
        ready, _, _ = select.select([self._lines], [], [], timeout_s)
        assert ready, f"the child says nothing for {timeout_s} s"
        line = self._lines.readline()
        assert line, f"the child has ended ({self.join()}) and said nothing"
        return line.strip()

    def alive(self):
        """Has it not ended yet?"""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def kill(self, sig=signal.SIGKILL):
        """Sends `sig` and waits for the end."""
        if self.alive():
            os.kill(self.pid, sig)
        self.join()

    def join(self, timeout_s=60):
        """The exit status; one that does not end in time is killed and fails the test."""
        if self.status is None:
            fd = os.pidfd_open(self.pid)
            in_time = select.select([fd], [], [], timeout_s)[0]
            os.close(fd)
            if not in_time:
                os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            assert in_time, f"the child did not end within {timeout_s} s"
        self._lines.close()
        return self.status

    def stopped(self, timeout_s=60):
        """True once SIGSTOP has stopped it, False if it has ended instead; fails the test where neither comes."""
        patience = Patience(timeout_s)
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return True
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return False
            patience.check(f"process {pid} runs")
            os.sched_yield()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()


def in_a_small_process(module, function, *arguments, limit_s=LIMIT_S):
    """Calls tests/MODULE.py's FUNCTION with the arguments (as text) in a fresh interpreter.

    Thousands of forks of a test runner that has grown to a gigabyte cost minutes of copied page tables. After LIMIT_S
    it and all it started are killed and the test fails with what it said.
    """
    here = pathlib.Path(__file__).parent
    code = f"import sys; sys.path[:0] = [{str(here)!r}]; import {module} as m; m.{function}(*sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-u", "-c", code, *map(str, arguments)], cwd=here.parent, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as running:
        try:
            said, _ = running.communicate(timeout=limit_s)
        except BaseException as e:
            os.killpg(running.pid, signal.SIGKILL)
            said, _ = running.communicate()
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
            raise AssertionError(f"{module}.{function} did not end within {limit_s:.0f} s; it said:\n{said}") from None
    assert running.returncode == 0, said
    print(said, end="")                 # what it counted: shown by pytest -rP
