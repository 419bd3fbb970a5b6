"""Our TCP against real ones through a bridge that damages frames: `python -m tests.damage`, `make damage`.

cells.py says what is asked and judges what came of it; ends.py is what runs in the three namespaces; run.py brings them
together. Addresses are resolved by static entries on both sides: ARP has no checksum, so one flipped bit would poison a
cache, which is not a matter of TCP.
"""
