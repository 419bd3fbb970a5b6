"""Handles events at-least-once under a version of its own; start a second one and it takes over when the first ends."""
import sys
import time

from ipc import Reader
from ipc.segment import RoleTaken


def attach() -> Reader:
    while True:
        try:
            return Reader("events", timeout=60, wait="yield")
        except RoleTaken:
            time.sleep(0.001)           # the version before us still lives


def main(version: str = "1") -> None:
    with attach() as events:
        first, handled = events.number, 0
        print(f"version {version} takes over at event {first}", flush=True)
        try:
            while events.wait(timeout_ns=2_000_000_000):
                event = events.peek()
                assert event is not None        # wait said so
                with event:
                    assert int.from_bytes(event, "little") == events.number, "an event is missing"
                events.ack()            # only now is it done: killed before this line, our successor gets it again
                handled += 1
        except KeyboardInterrupt:
            pass
    print(f"version {version} handled {first} to {first + handled - 1}")


if __name__ == "__main__":
    main(*sys.argv[1:])
