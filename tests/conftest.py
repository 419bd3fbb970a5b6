"""Fixtures every test may use; each comes from the language it belongs to."""
from segments import link, make_link  # noqa: F401
