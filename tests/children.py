"""Child processes of the ipc tests: forked before any handle is open, killed on purpose, always reaped."""
import os
import pathlib
import select
import signal
import subprocess
import sys
import traceback


class Child:
    """Runs `work(say)` in a forked process. `say(text)` sends a line; `hear()` returns it; `kill()` is SIGKILL."""

    def __init__(self, work):
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
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
        """The next line the child says; fails the test where none comes."""
        ready, _, _ = select.select([self._lines], [], [], timeout_s)
        assert ready, "the child says nothing"
        return self._lines.readline().strip()

    def kill(self, sig=signal.SIGKILL):
        """Sends `sig` and waits for the end."""
        if self.status is None:
            os.kill(self.pid, sig)
            self.join()

    def join(self):
        """The exit status."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._lines.close()
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()


def in_a_small_process(module, function, *arguments):
    """Calls tests/MODULE.py's FUNCTION with the arguments (as text) in a fresh interpreter.

    Thousands of forks of a test runner that has grown to a gigabyte cost minutes of copied page tables.
    """
    here = pathlib.Path(__file__).parent
    code = f"import sys; sys.path[:0] = [{str(here)!r}]; import {module} as m; m.{function}(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=here.parent, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    print(done.stdout, end="")          # what it counted: shown by pytest -rP
