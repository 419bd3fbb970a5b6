"""`python -m gateway` is the command `fixwire`."""
import sys

from gateway.cli import main

sys.exit(main())
