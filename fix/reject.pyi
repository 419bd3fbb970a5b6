"""Compiled: for `cimport fix.reject`. Its Python face is fix.Session."""
