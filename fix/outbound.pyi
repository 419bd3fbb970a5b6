"""Compiled: for `cimport fix.outbound`. Its Python face is fix.Session."""
