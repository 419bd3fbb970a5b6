"""Child processes of the ipc tests: forked before any handle is open, killed on purpose, always reaped."""
import os
import select
import signal
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
