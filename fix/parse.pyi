"""Compiled: the parser, for `cimport fix.parse`. Its Python face is fix.Message."""
