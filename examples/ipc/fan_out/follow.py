"""Follows the broadcast `quotes` and says once a second what came and what was lost. Start as many as you like."""
import argparse
import time

from publish import QUOTE

from ipc import Subscriber


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--directory", help="where segments live (/dev/shm)")
    a = p.parse_args()
    with Subscriber("quotes", directory=a.directory, wait="sleep", timeout=10) as quotes:
        said = time.monotonic()
        while quotes.wait(timeout_ns=2_000_000_000):
            batch, _ = quotes.read_array(QUOTE)
            if len(batch) and time.monotonic() - said >= 1:
                said = time.monotonic()
                last = batch[-1]
                print(f"{quotes.got} quotes, {quotes.lost} lost; {last['symbol'].decode()} "
                      f"{last['bid_e8'] / 1e8:.2f}", flush=True)
        print(f"silence; {quotes.got} quotes, {quotes.lost} lost")


if __name__ == "__main__":
    main()
