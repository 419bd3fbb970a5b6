"""Open orders of outside strategies by ClOrdID; for Cython only, see open_orders.pxd."""
