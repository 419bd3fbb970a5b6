"""Compiled: the encoder, for `cimport fix.encode`. Its Python face is fix.Message."""
