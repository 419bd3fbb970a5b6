"""Compiled: the states of a session, for `cimport fix.states`. Its Python face is fix.Session."""
STATES: tuple[str, ...]
REASONS: tuple[str, ...]
TRANSITIONS: dict[tuple[str, str], str]
