"""Requests of strategies in processes of their own; for Cython only, see request.pxd."""
