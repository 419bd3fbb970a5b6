# An order as a strategy states it, and what became of it. Take the names from gateway.strategy, which passes them on.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fix.template cimport fix_template

cdef enum order_verdict:
    SENT = 0                # a MsgSeqNum was used and TCP has the octets
    NOT_LOGGED_ON = 1
    WOULD_BLOCK = 2         # no room in the send ring or the store; no number was used
    TOO_LONG = 3            # larger than the largest message we send
    BAD_ORDER = 4           # no Symbol, no Side, OrderQty not positive, no Price of a limit order, SOH in a text
    RISK_QTY = 5
    RISK_NOTIONAL = 6
    RISK_RATE = 7
    RISK_KILLED = 8
    REFUSED = 9             # the session's own reason: throttled, numbers used up, a message begun and not ended
    # 10 to 15 and 18: gateway.outside, of the gateway of a strategy in a process of its own
    RISK_PRICE = 16         # outside the band around its symbol's reference, or the symbol has none
    RISK_OPEN = 17          # as many orders are open as may be

# Texts are the caller's memory, read before the call returns. Length 0 with a pointer: NUL-terminated.
cdef struct order:
    uint64_t ClOrdID        # written in decimal; 0: the engine makes one and writes it here
    uint64_t OrigClOrdID    # replace and cancel
    const char *Symbol
    const char *Account     # NULL: left out, as every text
    const char *ClOrdID_text        # instead of the number
    const char *OrigClOrdID_text
    uint32_t Symbol_n
    uint32_t Account_n
    uint32_t ClOrdID_n
    uint32_t OrigClOrdID_n
    int64_t OrderQty
    int64_t Price_e8        # with OrdType 2 (limit) and 4 (stop limit)
    char Side               # '1' buy, '2' sell ...
    char OrdType            # '1' market, '2' limit ...
    char TimeInForce        # '0' day ...; 0: left out
    char HandlInst          # '1' automated, no intervention; 0: left out
    char Bypass             # not 0: the session's limits are not asked, only the kill switch (where it allows that)

cdef enum:
    TEMPLATE_TEXT = 64      # octets of a template's Symbol and Account

# A NewOrderSingle of which ClOrdID, OrderQty, Price and TransactTime are still to come. Plain memory: of any owner, good for
# any session, may be copied.
cdef struct order_template:
    order o                 # what is fixed, and the rest of the last one sent
    fix_template body
    char Symbol[64]
    char Account[64]

cdef inline void order_init(order *o) noexcept nogil:
    """A limit order for the day, everything else empty."""
    memset(o, 0, sizeof(order))
    o.OrdType = b'2'
    o.TimeInForce = b'0'
    o.HandlInst = b'1'
