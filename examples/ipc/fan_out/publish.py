"""Publishes made-up quotes on the broadcast `quotes`; never waits for a reader. Ctrl-C or --count ends it."""
import argparse
import random
import time

import numpy

from ipc import Publisher

QUOTE = numpy.dtype([("symbol", "S8"), ("bid_e8", "i8"), ("ask_e8", "i8"), ("ts_ns", "u8")])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--count", type=int, default=0, help="quotes to publish (0: until Ctrl-C)")
    p.add_argument("--rate", type=int, default=100_000, help="quotes a second")
    p.add_argument("--directory", help="where segments live (/dev/shm)")
    a = p.parse_args()
    rng = random.Random(1)
    batch = numpy.zeros(max(1, a.rate // 100), QUOTE)
    batch["symbol"] = [rng.choice([b"AAPL", b"MSFT", b"IBM"]) for _ in batch]
    sent = 0
    with Publisher("quotes", QUOTE.itemsize, 65536, create=True, replace=True, wakeups=True,
                   directory=a.directory) as quotes:
        try:
            while not a.count or sent < a.count:
                begun = time.monotonic()
                batch["bid_e8"] = 100_00000000 + numpy.arange(sent, sent + len(batch))
                batch["ask_e8"] = batch["bid_e8"] + 1_000_000
                batch["ts_ns"] = time.time_ns()
                sent += quotes.publish_batch(batch[:a.count - sent] if a.count else batch)
                time.sleep(max(0, 0.01 - (time.monotonic() - begun)))
        except KeyboardInterrupt:
            pass
        print(f"published {sent}")
        quotes.remove()


if __name__ == "__main__":
    main()
