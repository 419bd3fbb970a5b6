"""Risk checks before an order leaves; for Cython only, see risk.pxd."""
