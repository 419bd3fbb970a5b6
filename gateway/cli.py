"""The command line: `fixwire demo | show | replay | run`."""
import sys


def main(argv: list[str] | None = None) -> int:
    sys.stderr.write("fixwire: no command is built yet\n")
    return 2
