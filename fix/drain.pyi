"""Compiled: a journal's drain thread, for `cimport fix.drain`."""
