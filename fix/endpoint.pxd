# One end of a FIX session: its states, verdicts, counters and the struct that fix.session and fix.outbound work on.
# Take them from fix.session, which passes on every name of this header.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fix.encode cimport fix_writer
from fix.message cimport fix_msg
from fix.store cimport fix_numbers, fix_store
from stack.wire.octets cimport load_64

cdef enum fix_role:
    FIX_INITIATOR = 0       # sends the first Logon
    FIX_ACCEPTOR = 1

cdef enum fix_version:      # BeginString(8)
    FIX_40 = 40
    FIX_41 = 41
    FIX_42 = 42
    FIX_43 = 43
    FIX_44 = 44
    FIXT_11 = 50            # FIX 5.0 and its service packs, see DefaultApplVerID

cdef enum fix_session_state:
    FIX_DISCONNECTED = 0
    FIX_AWAIT_LOGON = 1     # connected; the peer's Logon must be the first message
    FIX_LOGON_SENT = 2      # connected; our Logon is out
    FIX_ESTABLISHED = 3     # both Logons done; application messages flow
    FIX_LOGOUT_SENT = 4     # our Logout is out, the peer's is awaited
    FIX_CLOSING = 5         # the wire was told to close; session_disconnected comes next
    FIX_STATES = 6

cdef enum fix_event:
    FIX_EV_LOGON = 1                # established
    FIX_EV_LOGOUT = 2               # a Logout arrived (ours answered, or the peer's); s.text holds its Text(58)
    FIX_EV_DISCONNECT = 3           # the connection is gone; s.reason says why
    FIX_EV_REJECTED = 4             # Reject(3) or BusinessMessageReject(j) about a message of ours; s.in_msg holds it
    FIX_EV_RESEND_REQUESTED = 5     # the peer asks for s.resend_from .. s.resend_to
    FIX_EV_GAP = 6                  # we asked for s.gap_from .. s.gap_to
    FIX_EV_GARBLED = 7              # octets were skipped; once per burst
    FIX_EV_ERROR = 8                # a session-level fault of the peer; s.reason
    FIX_EV_RESET = 9                # both numbers began at 1 again
    FIX_EV_SENT_REJECT = 10         # we rejected a message of the peer

cdef enum fix_reason:               # s.reason: why a session was ended or a message refused
    FIX_NO_REASON = 0
    FIX_PEER_CLOSED = 1
    FIX_LOGON_TIMEOUT = 2
    FIX_LOGOUT_TIMEOUT = 3
    FIX_HEARTBEAT_TIMEOUT = 4
    FIX_SEQ_TOO_LOW = 5
    FIX_NOT_A_LOGON = 6             # the first message was something else, or no message at all
    FIX_UNEXPECTED_MESSAGE = 7      # a message that its state does not allow
    FIX_WRONG_BEGIN_STRING = 8
    FIX_WRONG_COMP_ID = 9
    FIX_SENDING_TIME = 10
    FIX_NO_MSG_SEQ_NUM = 11
    FIX_BAD_LOGON = 12
    FIX_LOGGED_OUT = 13             # an orderly Logout of both sides
    FIX_RESEND_STALLED = 14         # the peer did not fill a gap it was asked for
    FIX_ABORTED = 15                # session_abort
    FIX_OUT_OF_HOURS = 16
    FIX_NUMBERS_DISAGREE = 17       # the peer expects a number that we never used
    FIX_BAD_POSS_DUP = 18
    FIX_REASONS = 19

cdef enum fix_refusal:              # s.refusal: why session_begin gave NULL or session_end False; no number was used
    FIX_SENT = 0
    FIX_NOT_LOGGED_ON = 1
    FIX_WOULD_BLOCK = 2             # no room for the largest message on the wire
    FIX_STORE_FULL = 3
    FIX_TOO_LARGE = 4               # larger than max_message
    FIX_BUSY = 5                    # a message is begun and not ended
    FIX_WIRE_REFUSED = 6
    FIX_THROTTLED = 7
    FIX_NUMBERS_EXHAUSTED = 8

cdef enum:
    FIX_ID_MAX = 63                 # octets of a CompID, SubID or LocationID
    FIX_TEXT_MAX = 127
    FIX_ADMIN_ROOM = 2048           # octets of the wire kept back from application messages

cdef struct fix_wire:
    void *ctx
    bint (*commit)(void *ctx, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil    # all or nothing
    uint32_t (*room)(void *ctx) noexcept nogil                                                  # octets commit would take
    void (*close)(void *ctx, bint abort, uint64_t now_ns) noexcept nogil                        # only marks; session_disconnected follows

cdef struct fix_session             # below

cdef struct fix_app:                # each may be NULL
    void *ctx
    void (*on_message)(void *ctx, fix_session *s, fix_msg *m, uint64_t now_ns) noexcept nogil   # m is lent for the call
    void (*on_event)(void *ctx, fix_session *s, int event, uint64_t now_ns) noexcept nogil
    void (*on_deadline)(void *ctx, fix_session *s) noexcept nogil                               # deadline_ns moved earlier
    # A message of ours is about to be sent again; False: fill its gap instead (a stale order). m is lent for the call.
    bint (*may_resend)(void *ctx, fix_session *s, fix_msg *m) noexcept nogil
    # Acceptor: is this Logon welcome (Username, Password, DefaultApplVerID)? False: Logout "Logon refused".
    bint (*may_logon)(void *ctx, fix_session *s, fix_msg *m) noexcept nogil

# Dictionary checks: -1 good, else SessionRejectReason(373) with RefTagID(371) in *ref_tag (0: none).
ctypedef int (*fix_check_fn)(const void *tables, fix_msg *m, uint32_t *ref_tag) noexcept nogil

cdef struct fix_session_config:     # fix_session_config_init gives the defaults; copied by session_new
    int role
    int version
    char SenderCompID[64]           # ours; NUL-terminated
    char TargetCompID[64]           # the peer's
    char SenderSubID[64]            # the next four: empty = not sent
    char TargetSubID[64]
    char SenderLocationID[64]
    char TargetLocationID[64]
    char DefaultApplVerID[8]        # FIXT.1.1: "7" FIX50, "8" FIX50SP1, "9" FIX50SP2
    char Username[64]               # an initiator sends both, an acceptor asks for them: else Logout "Logon refused"; empty = neither
    char Password[64]
    uint32_t HeartBtInt             # seconds; an acceptor takes the peer's
    int timestamp_digits            # of SendingTime: 0, 3, 6, 9; -1 = 0 for FIX 4.0 and 4.1, else 3
    bint reset_on_logon             # ResetSeqNumFlag(141)=Y (initiator); begin at 1 whatever the flag says (acceptor)
    bint reset_on_logout
    bint reset_on_disconnect
    bint check_comp_id
    bint check_latency
    bint next_expected              # NextExpectedMsgSeqNum(789) in Logon
    bint last_processed             # LastMsgSeqNumProcessed(369) in every header
    uint64_t max_latency_ns         # SendingTime accuracy, 120 s
    uint64_t logon_timeout_ns       # 10 s
    uint64_t logout_timeout_ns      # 2 s
    uint64_t resend_timeout_ns      # an open ResendRequest that brings nothing is repeated, three times; 0 = HeartBtInt, at least 10 s
    uint32_t max_message            # octets of a message received; a longer one is garbled; 65,535 at most
    uint32_t max_out                # octets of a message sent; the wire must have that room and FIX_ADMIN_ROOM
    uint32_t step_messages          # handled by one session_input
    uint32_t step_octets
    uint32_t resend_messages        # resent by one step
    uint32_t queue_octets           # messages kept that came before their turn
    uint32_t resend_request_max     # messages asked for at once, 0 = all
    uint64_t seq_max                # the last MsgSeqNum that is used; 2,147,483,647
    uint32_t throttle_messages      # application messages sent within throttle_ns, 0 = as many as there are
    uint64_t throttle_ns

cdef struct fix_session_stats:
    uint64_t messages_in
    uint64_t octets_in
    uint64_t messages_out           # with resends and gap fills
    uint64_t octets_out
    uint64_t app_in                 # handed to on_message
    uint64_t app_out
    uint64_t resent
    uint64_t gap_fills              # SequenceReset-GapFill sent
    uint64_t not_stored             # gap-filled because the store no longer had the message
    uint64_t resend_too_large       # gap-filled because it is larger than what we send
    uint64_t resend_requests_in
    uint64_t resend_requests_out
    uint64_t resend_redundant       # requests for what a running resend already covers
    uint64_t rejects_in
    uint64_t rejects_out
    uint64_t poss_dup_ignored       # already seen
    uint64_t queued
    uint64_t queue_full             # came before their turn and were dropped; the resend brings them again
    uint64_t garbled                # stretches skipped
    uint64_t garbled_octets
    uint64_t discarded              # messages that arrived after the session was closed
    uint64_t seq_too_low
    uint64_t bad_comp_id
    uint64_t bad_sending_time
    uint64_t bad_begin_string
    uint64_t test_requests_out
    uint64_t heartbeats_out
    uint64_t heartbeat_timeouts
    uint64_t refused                # session_begin and session_end, any reason
    uint64_t admin_refused          # administrative messages for which the wire or the store had no room
    uint64_t logons
    uint64_t disconnects
    uint64_t resets
    uint64_t throttled
    uint64_t bad_password           # Logons without the Username or Password asked for

cdef struct fix_session:
    # every message received
    uint8_t state                   # fix_session_state
    uint8_t gap                     # a ResendRequest of ours is open
    uint8_t peer_len
    uint8_t us_len
    uint16_t hint_seq               # where MsgSeqNum, CompIDs and SendingTime stood in the last message
    uint16_t hint_sender
    uint16_t hint_target
    uint16_t hint_time
    uint32_t need                   # octets there must be in total before session_input is worth calling again; 0 = any
    uint32_t queued                 # messages kept that came before their turn
    uint32_t test_requests          # sent since the last message received
    uint64_t next_in
    uint64_t next_out
    fix_numbers *numbers            # the store's copy of both
    uint64_t last_rx_ns
    uint64_t last_tx_ns
    uint32_t begin_len
    uint32_t logged_garbled         # within a burst of garbled octets
    uint8_t begin[24]               # BeginString, padded
    uint8_t peer[72]                # what SenderCompID(49) of a received message must be, padded
    uint8_t us[72]                  # what TargetCompID(56) must be
    uint8_t time_in[24]             # the second of the last SendingTime received, as text
    int64_t time_in_from            # UTC bounds in which that second is accurate enough
    int64_t time_in_to
    fix_msg *msg                    # scratch; an engine may share one among its sessions
    fix_app app
    fix_check_fn check              # NULL: no dictionary
    const void *check_tables
    const void *data_table          # Length/data pairs of its dictionary (fix/parse.pxd), which outlives it; NULL: the standard's
    uint64_t *trace                 # the engine's marks, or NULL
    # every message sent
    fix_wire wire
    fix_store *store
    fix_writer *w
    const int64_t *utc_offset_ns    # UTC = now_ns + *utc_offset_ns; NULL: now_ns is UTC
    uint32_t refusal                # fix_refusal
    uint32_t writing                # session_begin was called and session_end was not
    uint32_t decimals               # of SendingTime
    uint32_t throttle_sent          # since throttle_from_ns
    uint64_t throttle_from_ns
    uint32_t head_us_len
    uint32_t head_peer_len
    uint32_t head_tail_len
    uint8_t head_us[160]            # 49=..|50=..|
    uint8_t head_peer[160]          # 56=..|57=..|
    uint8_t head_tail[160]          # 142=..|143=..|
    # the rest
    uint64_t deadline_ns            # session_poll has nothing to do before; UINT64_MAX = never
    uint64_t heartbeat_ns           # HeartBtInt in force, 0 = none
    uint64_t state_ns               # when the state was entered
    uint32_t reason                 # fix_reason
    uint32_t text_len
    uint8_t text[128]               # Text(58) of the last Logout received, NUL-terminated
    fix_msg *in_msg                 # the message an event is about, lent for the call
    uint8_t sent_reset              # our Logon asked to begin at 1, the answer is awaited
    uint8_t own_msg                 # msg and w were allocated by session_new
    uint8_t own_w
    uint8_t resending
    uint8_t draining                # the message in work comes from the queue
    uint64_t resend_from            # the peer asked for these
    uint64_t resend_to
    uint64_t resend_next            # a running resend: the number to look at next
    uint64_t resend_fill            # first number of a gap not yet filled, 0 = none
    uint64_t gap_from               # our open ResendRequest
    uint64_t gap_to
    uint64_t gap_high               # the highest number seen
    uint64_t gap_mark               # next_in when progress was last looked at
    uint64_t gap_ns
    uint64_t gap_logon              # the peer's Logon, received before what comes before it; 0: none
    uint64_t reset_ns               # when session_reset sent its Logon, see sent_reset
    uint32_t gap_tries
    uint32_t queue_len              # octets of queue in use
    uint8_t *queue
    const int64_t *windows          # when the session is open: n_windows pairs of UTC ns (from, to), ascending; NULL: always
    uint32_t n_windows
    uint32_t window                 # index of the pair below
    int64_t window_from             # the window in force, or the next one
    int64_t window_to
    int64_t window_in               # window_from when the connection came
    void *user                      # the owner's
    fix_session_config config
    fix_session_stats stats


cdef inline bint same(const uint8_t *a, const uint8_t *b, uint32_t n) noexcept nogil:
    """Are the n octets equal? Both have 8 octets behind them that may be read."""
    cdef uint32_t i = 0
    while i + 8 <= n:
        if load_64(a + i) != load_64(b + i):
            return False
        i += 8
    return i == n or (load_64(a + i) ^ load_64(b + i)) << (64 - 8 * (n - i)) == 0


# The defaults (FIX 4.4, 30 s, every check on); the caller adds role, version, CompIDs.
cdef void fix_session_config_init(fix_session_config *c) noexcept nogil
# NULL: out of memory, unknown version, or a CompID is empty. The store stays the caller's and must outlive the session.
# msg, w: scratch of the owner's, shared among sessions of one thread; NULL = the session's own.
cdef fix_session *session_new(const fix_session_config *c, fix_store *store, fix_msg *msg, fix_writer *w) noexcept nogil
cdef void session_free(fix_session *s) noexcept nogil
# acceptors: is this parsed first message a Logon for s?
cdef bint session_matches(const fix_session *s, fix_msg *m) noexcept nogil
# ... for our side of s at least, whoever the peer is?
cdef bint session_is_for(const fix_session *s, fix_msg *m) noexcept nogil
# Acceptors without a peer yet: the peer is from now on the `n` octets at `p`. Only while disconnected and before anything was
# sent. False: that can be no CompID.
cdef bint session_set_peer(fix_session *s, const uint8_t *p, uint32_t n) noexcept nogil
