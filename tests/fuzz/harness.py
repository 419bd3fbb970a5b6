"""A harness of tests/fuzz_*.pyx by the addresses its module ends with: libFuzzer calls it, or a test, maybe with a fault."""
import ctypes

import compiled


class Harness:
    """`callback` is the address libFuzzer calls; `module` what else the harness offers."""

    def __init__(self, target):
        self.target, self.module = target, compiled.module(f"fuzz_{target}")
        self.callback, run, planted = self.module.ENTRY
        self._run = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)(run)
        self._planted = ctypes.c_int.from_address(planted)

    def replay(self, data):
        """None, or what is wrong with this input."""
        why = self._run(data, len(data))
        return why and why.decode()

    def plant(self, fault):
        """1: the fault said beside `planted` in the harness is there. 0: it is not."""
        self._planted.value = fault
