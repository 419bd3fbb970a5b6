"""Sessions and their TCP connections: connect and connect again, accept and find the session, let go.

A session never sees TCP: text comes up through slot_on_text -> session_input, messages leave through its fix_wire
-> tcp_send_commit. Closing only marks (the session may be in the middle of its input); the connection is let go when
the step handles what is due. From then on TCP finishes alone (FIN, TIME-WAIT) and the slot may connect anew.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fix.endpoint cimport session_is_for, session_set_peer
from fix.message cimport fix_field, fix_find, fix_msg, fix_value
from fix.parse cimport FIX_COMPLETE, FIX_PARTIAL, FIX_RESYNC_NEXT, fix_parse
from fix.session cimport (
    FIX_DISCONNECTED, FIX_ESTABLISHED, fix_session, session_abort, session_connected, session_disconnected, session_input, session_logout, session_matches, session_opens_ns, session_poll, session_reset, session_writable)
from stack.tcb cimport (
    TCP_EV_CLOSED, TCP_EV_CONNECTED, TCP_EV_PEER_CLOSED, TCP_EV_REFUSED, TCP_EV_RESET, TCP_EV_TIMEOUT,
    TCP_EV_UNREACHABLE, TCP_EV_WRITABLE, TCP_SYN_SENT, tcb, tcp_sink)
from stack.tcp cimport tcp_abort, tcp_close, tcp_connect, tcp_listen, tcp_send_commit, tcp_send_room
from stack.timer cimport timer_by, timer_cancel, timer_set

from gateway.slab cimport (
    ENGINE_ANONYMOUS, ENGINE_LISTENERS, ENGINE_STOPPING, EV_CONNECT_FAILED, EV_CONNECTED, EV_CONNECTING, LOGON_MAX,
    anonymous, engine, engine_note, flags_of, listening, message_record, peer_address, slot)
from gateway.strategy cimport slot_may_resend, slot_on_event, slot_on_message
from gateway.wire_log cimport file_log_put


# -- the way out

cdef void log_message(slot *g, bint sent, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """Into the engine's message log, from which Python takes it between steps; full: lost and counted."""
    cdef engine *e = g.e
    cdef message_record r
    if e.log.used + sizeof(message_record) + n > e.log.size:
        e.log.lost += 1
        return
    r.now_ns = now_ns
    r.n = n
    r.slot = <uint16_t>g.id
    r.sent = sent
    memcpy(e.log.at + e.log.used, &r, sizeof(message_record))
    memcpy(e.log.at + e.log.used + sizeof(message_record), p, n)
    e.log.used += sizeof(message_record) + n


cdef bint wire_commit(void *ctx, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>ctx
    if g.c == NULL or not tcp_send_commit(g.c, p, n, now_ns):
        return False
    if g.e.log.at != NULL:
        log_message(g, True, p, n, now_ns)
    if g.logged:
        file_log_put(g, True, p, n, now_ns)
    return True


cdef uint32_t wire_room(void *ctx) noexcept nogil:
    cdef slot *g = <slot *>ctx
    return tcp_send_room(g.c) if g.c != NULL else 0


cdef void wire_close(void *ctx, bint abort, uint64_t now_ns) noexcept nogil:
    """The session is done with this connection: only marks, slot_wake does the rest within this step."""
    cdef slot *g = <slot *>ctx
    if g.c == NULL:
        return
    if abort:
        tcp_abort(g.c, now_ns)
    else:
        tcp_close(g.c, now_ns)
    g.closing = True
    timer_by(&g.e.due, &g.wake, now_ns)


cdef void app_on_deadline(void *ctx, fix_session *s) noexcept nogil:
    cdef slot *g = <slot *>ctx
    timer_by(&g.e.due, &g.wake, s.deadline_ns)


cdef void slot_wire(slot *g) noexcept nogil:
    g.s.wire.ctx = g
    g.s.wire.commit = wire_commit
    g.s.wire.room = wire_room
    g.s.wire.close = wire_close
    g.s.app.ctx = g
    g.s.app.on_message = slot_on_message
    g.s.app.on_event = slot_on_event
    g.s.app.on_deadline = app_on_deadline
    g.s.app.may_resend = slot_may_resend


# -- the way in

cdef uint32_t slot_on_text(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>ctx
    cdef uint32_t used = session_input(g.s, p, n, now_ns)
    c.rcv_need = g.s.need
    if g.e.log.at != NULL and used:
        log_message(g, False, p, used, now_ns)
    if g.logged and used:
        file_log_put(g, False, p, used, now_ns)
    return used


cdef void slot_try_later(slot *g, uint64_t now_ns) noexcept nogil:
    """When and where to connect next: where a Logon was answered again, else to the next host; each round waits longer."""
    g.connect_ns = now_ns + g.backoff_ns
    if g.answered:
        return
    g.host_at += 1
    if g.host_at == g.n_hosts:
        g.host_at = 0
        g.backoff_ns = min(2 * g.backoff_ns, g.reconnect_max_ns)


cdef void slot_vacate(slot *g, uint64_t now_ns) noexcept nogil:
    """A place of a template's pool whose peer never logged on is the next one's, from number 1 on."""
    if g.s.next_in != 1 or g.s.next_out != 1:       # a Logout that said why
        session_reset(g.s, now_ns)
    session_set_peer(g.s, <const uint8_t *>b"*", 1)
    g.vacant = True


cdef void slot_let_go(slot *g, uint64_t now_ns) noexcept nogil:
    """Session and connection part. TCP goes on alone; an initiator is to try again after its wait."""
    cdef tcb *c = g.c
    g.c = NULL
    g.closing = False
    if c != NULL:
        memset(&c.sink, 0, sizeof(tcp_sink))
    session_disconnected(g.s, now_ns)
    if g.pooled and g.s.stats.logons == 0:
        slot_vacate(g, now_ns)
    if g.initiator:
        slot_try_later(g, now_ns)
        timer_by(&g.e.due, &g.wake, g.connect_ns)


cdef void slot_on_tcp_event(void *ctx, tcb *c, int event, uint64_t now_ns) noexcept nogil:
    cdef slot *g = <slot *>ctx
    if event == TCP_EV_CONNECTED:
        engine_note(g.e, g.id, EV_CONNECTED, 0)
        session_connected(g.s, now_ns)
    elif event == TCP_EV_WRITABLE:
        session_writable(g.s, now_ns)
    elif event == TCP_EV_PEER_CLOSED:
        tcp_close(c, now_ns)
        slot_let_go(g, now_ns)
    elif event == TCP_EV_RESET or event == TCP_EV_REFUSED or event == TCP_EV_TIMEOUT or event == TCP_EV_CLOSED:
        if g.s.state == FIX_DISCONNECTED:
            g.stats.connect_failed += 1
            engine_note(g.e, g.id, EV_CONNECT_FAILED, event)
        slot_let_go(g, now_ns)
    elif event == TCP_EV_UNREACHABLE and c.state == TCP_SYN_SENT:
        engine_note(g.e, g.id, EV_CONNECT_FAILED, event)    # CLOSED follows if it is the end


# -- initiator

cdef void slot_connect(slot *g, uint64_t now_ns) noexcept nogil:
    cdef tcp_sink sink
    sink.ctx = g
    sink.on_text = slot_on_text
    sink.on_event = slot_on_tcp_event
    cdef peer_address *to = &g.hosts[g.host_at]
    g.stats.connects += 1
    g.answered = False
    engine_note(g.e, g.id, EV_CONNECTING, g.host_at)
    g.c = tcp_connect(g.e.nif, to.address, to.port, 0, &g.e.options, &sink, now_ns)
    if g.c == NULL:
        g.stats.connect_failed += 1
        engine_note(g.e, g.id, EV_CONNECT_FAILED, 0)
        slot_try_later(g, now_ns)
    else:
        g.c.user = g


# -- acceptor

cdef void anonymous_free(anonymous *a) noexcept nogil:
    memset(&a.c.sink, 0, sizeof(tcp_sink))
    a.c = NULL
    timer_cancel(&a.e.due, &a.wake)


cdef void anonymous_refuse(anonymous *a, uint64_t now_ns) noexcept nogil:
    """Close without a word: whoever this is gets no answer that tells what sessions there are."""
    tcp_close(a.c, now_ns)
    anonymous_free(a)


cdef slot *slot_of_logon(engine *e, uint16_t port, fix_msg *m) noexcept nogil:
    """The acceptor on `port` that this Logon is for; a vacant one of a template takes a peer nobody knows. NULL: none."""
    cdef slot *g
    cdef slot *vacant = NULL
    cdef const fix_field *sender
    cdef bint full = False
    cdef uint32_t i
    for i in range(e.n_slots):
        g = &e.slots[i]
        if g.initiator or not g.enabled or g.port != port:
            continue
        if g.vacant:
            if vacant == NULL and session_is_for(g.s, m):
                vacant = g
        elif session_matches(g.s, m):
            return g
        full = full or (g.pooled and session_is_for(g.s, m))
    sender = fix_find(m, 49)
    if vacant == NULL and full:
        e.stats.refused_pool += 1
    if vacant == NULL or sender == NULL or flags_of(e) & ENGINE_STOPPING or \
            not session_set_peer(vacant.s, fix_value(m, sender), sender.len):
        return NULL
    vacant.vacant = False
    return vacant


cdef uint32_t anonymous_on_text(void *ctx, tcb *c, const uint8_t *p, uint32_t n, uint64_t now_ns) noexcept nogil:
    """The first message is there or still to come; a Logon(A) of one of our sessions hands the connection to it."""
    cdef anonymous *a = <anonymous *>ctx
    cdef engine *e = a.e
    cdef slot *g = NULL
    cdef int verdict
    # what the session that parsed last with this left in it is no business of a stranger's
    e.msg.max_size = LOGON_MAX
    e.msg.resync = FIX_RESYNC_NEXT
    e.msg.data_table = NULL
    verdict = fix_parse(e.msg, p, n)
    if verdict == FIX_PARTIAL:
        c.rcv_need = e.msg.need
        return 0
    if verdict == FIX_COMPLETE:
        g = slot_of_logon(e, a.port, e.msg)
    if g == NULL:
        e.stats.refused_logon += 1
        anonymous_refuse(a, now_ns)
        return n
    if g.c != NULL or flags_of(e) & ENGINE_STOPPING:
        e.stats.refused_twice += 1
        anonymous_refuse(a, now_ns)
        return n
    anonymous_free(a)
    g.c = c
    c.user = g
    c.sink.ctx = g
    c.sink.on_text = slot_on_text
    c.sink.on_event = slot_on_tcp_event
    g.stats.connects += 1
    engine_note(e, g.id, EV_CONNECTED, 0)
    session_connected(g.s, now_ns)
    return slot_on_text(g, c, p, n, now_ns)


cdef void anonymous_on_event(void *ctx, tcb *c, int event, uint64_t now_ns) noexcept nogil:
    cdef anonymous *a = <anonymous *>ctx
    if event == TCP_EV_PEER_CLOSED:
        tcp_close(c, now_ns)
        anonymous_free(a)
    elif event == TCP_EV_RESET or event == TCP_EV_TIMEOUT or event == TCP_EV_CLOSED:
        anonymous_free(a)


cdef bint on_accept(void *ctx, tcb *c, uint64_t now_ns) noexcept nogil:
    cdef listening *port = <listening *>ctx
    cdef engine *e = port.e
    cdef anonymous *a
    cdef int i
    e.stats.accepted += 1
    if flags_of(e) & ENGINE_STOPPING:
        return False
    for i in range(ENGINE_ANONYMOUS):
        a = &e.waiting[i]
        if a.c == NULL:
            a.c = c
            a.port = port.port
            c.sink.ctx = a
            c.sink.on_text = anonymous_on_text
            c.sink.on_event = anonymous_on_event
            timer_set(&e.due, &a.wake, now_ns + e.logon_timeout_ns)
            return True
    e.stats.refused_full += 1
    return False


cdef void anonymous_wake(anonymous *a, uint64_t now_ns) noexcept nogil:
    a.e.stats.logon_timeouts += 1
    anonymous_refuse(a, now_ns)


cdef bint engine_listen(engine *e, uint16_t port) noexcept nogil:
    cdef uint32_t i
    cdef listening *at
    for i in range(e.n_listeners):
        if e.listeners[i].port == port:
            return True
    if e.n_listeners == ENGINE_LISTENERS:
        return False
    at = &e.listeners[e.n_listeners]
    at.e = e
    at.port = port
    at.l = tcp_listen(e.nif, port, &e.options, on_accept, at)
    if at.l == NULL:
        return False
    e.n_listeners += 1
    return True


# -- time, and the end

cdef void slot_wake(slot *g, uint64_t now_ns) noexcept nogil:
    cdef uint64_t at_ns
    if g.closing:
        slot_let_go(g, now_ns)
    if g.s.deadline_ns <= now_ns:
        session_poll(g.s, now_ns)
    if g.c == NULL and g.initiator and g.enabled and now_ns >= g.connect_ns and not flags_of(g.e) & ENGINE_STOPPING:
        g.connect_ns = session_opens_ns(g.s, now_ns)
        if g.connect_ns <= now_ns:
            slot_connect(g, now_ns)
    at_ns = g.s.deadline_ns
    if g.c == NULL and g.initiator and g.enabled and not flags_of(g.e) & ENGINE_STOPPING:
        at_ns = min(at_ns, g.connect_ns)
    # a session that is due again within the step it was polled in waits for the next step
    timer_set(&g.e.due, &g.wake, now_ns if g.closing else (at_ns if at_ns > now_ns else now_ns + 1))


cdef void slot_leave(slot *g, uint64_t now_ns) noexcept nogil:
    if g.s.state == FIX_ESTABLISHED:
        session_logout(g.s, NULL, now_ns)
    elif g.c != NULL:
        session_abort(g.s, now_ns)
        if not g.closing:               # it had no wire yet: the SYN is still out
            tcp_abort(g.c, now_ns)
            slot_let_go(g, now_ns)


cdef void slot_abort(slot *g, uint64_t now_ns) noexcept nogil:
    if g.c != NULL and not g.closing:
        tcp_abort(g.c, now_ns)
        slot_let_go(g, now_ns)
