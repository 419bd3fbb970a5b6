"""TCP options as keywords. For Cython, see keywords.pxd."""
MS: int
LIMITS: dict[str, tuple[int, int]]      # option: (least, most)
