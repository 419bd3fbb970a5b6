"""Sends numbered events into the channel `events`, for whichever strategy is attached."""
import time

from ipc import Writer


def main(count: int = 3000) -> None:
    with Writer("events", 16, 4096, create=True, replace=True, policy="block", block_ns=60_000_000_000) as events:
        for number in range(count):
            events.send(number.to_bytes(8, "little"))
            time.sleep(0.001)
        while events.free < events.capacity:        # until the last one is acknowledged
            time.sleep(0.01)
        events.remove()
    print(f"{count} events sent, all acknowledged")


if __name__ == "__main__":
    main()
