# What crosses between the gateway and a strategy in a process of its own: two records over the rings of ipc.
#
#     DESK.events            broadcast: every notice, one number each, the writer waits for nobody
#     DESK.STRATEGY.inbox    channel to one strategy: verdicts and executions of its own orders, kept until acknowledged
#     DESK.STRATEGY.orders   channel from one strategy: requests; nothing in it is believed
#     DESK.sessions          broadcast of one message: the sessions as JSON, for who joins
#
# A notice about a strategy's own order is in its inbox and, under the same number, on the broadcast, where its owner
# skips it: reading both rings by number gives the gateway's order of events.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    OUTSIDE_TEXT = 32           # octets at most of a ClOrdID, Symbol or Account from outside
    OUTSIDE_STRATEGIES = 63     # ClOrdIDs made outside are k * 64 + index + 1, so no two strategies make the same

cdef enum request_kind:
    REQUEST_HELLO = 1           # the first of every incarnation
    REQUEST_NEW = 2
    REQUEST_REPLACE = 3
    REQUEST_CANCEL = 4
    REQUEST_MESSAGE = 5         # any other application message: a message_request

cdef struct request:            # strategy -> gateway; its number in the channel is the order's token
    uint32_t kind
    uint32_t session            # index of the session
    int64_t OrderQty
    int64_t Price_e8
    uint8_t ClOrdID_n
    uint8_t OrigClOrdID_n
    uint8_t Symbol_n
    uint8_t Account_n
    char Side
    char OrdType
    char TimeInForce
    char HandlInst
    char ClOrdID[32]
    char OrigClOrdID[32]
    char Symbol[32]
    char Account[32]

cdef struct message_request:    # begins as a request does
    uint32_t kind
    uint32_t session
    uint64_t MsgType            # its octets, the first lowest
    uint32_t n                  # octets that follow: tag=value<SOH> and so on, the body without what is the session's
    uint32_t unused

cdef enum notice_kind:
    NOTICE_MESSAGE = 1          # a FIX message follows, for on_message
    NOTICE_REJECT = 2           # ... for on_reject
    NOTICE_LOGON = 3
    NOTICE_LOGOUT = 4
    NOTICE_VERDICT = 5          # inbox: what became of the request `token`
    NOTICE_WELCOME = 6          # inbox: answer to HELLO; an octet a session follows, 1: logged on
    NOTICE_LOST = 7             # inbox: only says `lost`
    NOTICE_STOP = 8             # the gateway's sessions are down, it ends

cdef struct notice:             # gateway -> strategies
    uint32_t kind
    uint16_t session
    uint16_t owner              # index + 1 of the strategy whose order it is about; 0: nobody's
    uint64_t number             # one counter for all notices of a gateway's run
    uint64_t now_ns             # of the gateway's step
    int64_t utc_offset_ns
    uint64_t lost               # inbox: notices to this strategy that found it full since the one before
    uint64_t token              # NOTICE_VERDICT
    uint32_t verdict            # NOTICE_VERDICT: order_verdict or outside_verdict
    uint32_t n                  # octets that follow

cdef enum outside_verdict:      # beside order_verdict, which ends with REFUSED = 9
    MALFORMED = 10              # not a request, or octets in it that FIX cannot carry
    STALE = 11                  # its strategy died before it was taken
    DUPLICATE = 12              # this ClOrdID was used already
    TOO_MANY_OPEN = 13          # the strategy's own limit of open orders
    NOT_YOURS = 14              # OrigClOrdID is another strategy's order
    NO_SESSION = 15
    NOT_ALLOWED = 18            # this strategy may not send messages of this type
