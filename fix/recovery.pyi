"""Compiled: for `cimport fix.recovery`. Its Python face is fix.Session."""
