"""Compiled: for `cimport fix.logon`. Its Python face is fix.Session."""
