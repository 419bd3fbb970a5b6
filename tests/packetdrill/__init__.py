"""Plays packetdrill scripts through the real stack on a virtual clock.

script (the language) -> runner (time, calls, packets) over sockets (socket calls on stack.Stack) and packets (frames).
`python -m tests.packetdrill DIR --profile linux|freebsd` plays a directory; scripts/ holds our own, at tolerance 0.
"""
