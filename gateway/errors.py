"""Exceptions of the gateway."""


class WrongThread(RuntimeError):
    """Another thread than the engine's touched the engine: use Engine.submit() or Engine.stop()."""


class GatewayGone(RuntimeError):
    """The gateway of a strategy in a process of its own ended without a word, or writes what cannot be."""
