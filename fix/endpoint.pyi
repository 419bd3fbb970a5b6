"""Compiled: for `cimport fix.endpoint`. Its Python face is fix.Session."""
