"""Takes the messages of every parser from the channel `parsed` and counts their types."""
import collections

import fix
from ipc import MpscReader


def main() -> None:
    types: collections.Counter[str] = collections.Counter()
    with MpscReader("parsed", 4096, 1024, create=None) as parsed:
        while parsed.wait(timeout_ns=5_000_000_000):
            for raw in parsed.pop_batch():
                types[fix.parse(raw)[35]] += 1
        print(dict(types), f"{parsed.abandoned} abandoned by parsers that died")
        parsed.remove()


if __name__ == "__main__":
    main()
