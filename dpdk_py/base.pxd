# class Device: the Python-visible owner of one `device`. Subclasses fill dev.ops and dev.self.
from dpdk_py.device cimport device, device_ops, frame
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdio.h>
    #include <stdlib.h>
    #ifdef FIXWIRE_DEBUG
    #define FW_FRAME_MARKS 1
    #else
    #define FW_FRAME_MARKS 0
    #endif
    static inline void fw_frame_fault(const char *device, const char *what) {
        fprintf(stderr, "frame ownership: %s: %s\\n", device, what);
        abort();
    }
    """
    # A FIXWIRE_DEBUG build marks every buffer with who owns it and aborts at the first frame given away twice.
    const bint FRAME_MARKS "FW_FRAME_MARKS"
    void frame_fault "fw_frame_fault"(const char *device, const char *what) noexcept nogil

cdef enum frame_mark:
    FRAME_FREE = 0
    FRAME_ALLOCATED = 1     # alloc gave it, not yet sent or freed
    FRAME_SENT = 2          # taken by tx_burst
    FRAME_LENT = 3          # out through rx_burst

# What a device becomes when it is closed: nothing arrives, nothing leaves, frames still held may be freed.
cdef device_ops closed_ops

cdef class Device:
    cdef device dev
    cdef readonly str name
    cdef readonly bint closed
    cdef object __weakref__

    cdef device *ptr(self) noexcept nogil
    cdef int shutdown(self) except -1               # once, from close(); the default does nothing
    cdef int change_mtu(self, int mtu) except -1    # the default refuses
    cdef int require_open(self) except -1

cdef void complete_checksums(uint8_t *p, uint32_t n, uint16_t flags) noexcept nogil
cdef int mac_from(object value, uint8_t *mac) except -1
