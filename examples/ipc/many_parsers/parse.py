"""One of several parsers: finds the FIX messages of a file and sends them into the channel `parsed`."""
import sys

import fix
from ipc import MpscWriter


def main(path: str) -> None:
    with MpscWriter("parsed", 4096, 1024, policy="block", block_ns=60_000_000_000) as parsed:
        for message in fix.Parser().feed(open(path, "rb").read()):
            parsed.send(message.raw)
        print(f"{parsed.sent} messages from {path}, as producer {parsed.producer}")


if __name__ == "__main__":
    main(*sys.argv[1:])
