"""Takes lines from the channel `log` and appends them to a file: what may block happens here."""
import sys

from ipc import Reader


def main(path: str = "work.log") -> None:
    with Reader("log", timeout=60) as log, open(path, "ab", buffering=1 << 16) as out:
        lines = 0
        while log.wait(timeout_ns=2_000_000_000):
            while (line := log.peek()) is not None:
                with line:
                    out.write(bytes(line) + b"\n")
                log.ack()               # after the write: a logger killed here writes the line again, it loses none
                lines += 1
        out.flush()
        log.remove()
        print(f"{lines} lines in {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
