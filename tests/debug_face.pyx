"""Faults that a sanitized FIXWIRE_DEBUG build must stop at, each made by handing the product what its contract forbids."""
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fix.session cimport FIX_ESTABLISHED, FIX_LOGON_SENT, fix_session
from fix.states cimport session_set_state
from stack.reassembly cimport reass, reass_init, reass_insert
from stack.tcb cimport TCP_ESTABLISHED, TCP_SYN_SENT, tcb
from stack.tcp_table cimport tcp_set_state
from stack.wire.tcp cimport tcp_emit_mss


def overrun(int missing):
    """A hundred octets into a buffer of `missing` fewer."""
    cdef reass r
    cdef uint8_t[100] text
    cdef uint8_t *buf = <uint8_t *>malloc(100 - missing)
    memset(text, 1, 100)
    reass_init(&r, buf, 100, 0)
    reass_insert(&r, 0, text, 100)
    free(buf)


def overrun_store(int missing):
    """Four octets of an option at the end of a buffer, by a store of our own."""
    cdef uint8_t *buf = <uint8_t *>malloc(4 - missing)
    cdef uint8_t low
    tcp_emit_mss(buf, 1460)
    low = buf[2]                    # somebody reads what was written: else it need not be
    free(buf)
    return low


def overflow(int32_t x):
    """x + 1 in 32 bits."""
    return x + <int32_t>1


def tcp_transition_recorded(bint allowed, str directory):
    """A stack with a flight recorder that has sent a frame; then tcp_transition."""
    from dpdk_py.pair import pair
    from stack import Stack
    near, _far = pair()
    stack = Stack(near, "10.0.0.1/24", seed=1, flight=16, flight_dir=directory)
    stack.step(1)                                   # announces its address
    tcp_transition(allowed)


def tcp_transition(bint allowed):
    """From CLOSED to SYN-SENT, or to ESTABLISHED at once."""
    cdef tcb c
    memset(&c, 0, sizeof(c))
    tcp_set_state(&c, TCP_SYN_SENT if allowed else TCP_ESTABLISHED)


def fix_transition(bint allowed):
    """From DISCONNECTED to LOGON_SENT, or to ESTABLISHED at once."""
    cdef fix_session s
    memset(&s, 0, sizeof(s))
    session_set_state(&s, FIX_LOGON_SENT if allowed else FIX_ESTABLISHED, 0)
