"""Compiled: the state machine of a session, for `cimport fix.session`. Its Python face is fix.Session."""
STATES: tuple[str, ...]
REASONS: tuple[str, ...]
TRANSITIONS: dict[tuple[str, str], str]
