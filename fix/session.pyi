"""Compiled: the state machine of a session, for `cimport fix.session`. Its Python face is fix.Session."""
