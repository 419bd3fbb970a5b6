"""Nothing of this module can be called from Python: see Stack.dump_flight."""
