"""Exceptions of the gateway."""


class WrongThread(RuntimeError):
    """Another thread than the engine's touched the engine: use Engine.submit() or Engine.stop()."""
