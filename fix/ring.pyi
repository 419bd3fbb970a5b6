"""Compiled: a journal's ring, for `cimport fix.ring`."""
