"""A TCP connection of the acceptor, whichever TCP carries it: from its first octets to its session and its end.

A transport has recv(n) -> octets (b"" where nothing waits), eof, send(octets) -> how many it took, and close().
"""
import fix

LOGON_TIMEOUT_NS = 10_000_000_000
MOST_FIRST = 65536          # octets a connection may send before its Logon is whole


class Connection:
    """Its session is known once its Logon has come. `closed` says that the transport may be forgotten."""

    def __init__(self, transport, applications, now_ns):
        self.transport, self.applications, self.since = transport, applications, now_ns
        self.session = None
        self.first = b""
        self.out = b""
        self.closed = False

    @property
    def deadline_ns(self):
        return self.since + LOGON_TIMEOUT_NS if self.session is None else self.session.deadline_ns

    def serve(self, now_ns):
        """Whatever there is to do: read, answer, write, look at the clock, close."""
        if self.closed:
            return
        data = self.transport.recv(65536)
        if data and self.session is not None:
            self.session.receive(data)
        elif data:
            self.first += data
            self.attach()
        elif self.transport.eof or (self.session is None and now_ns - self.since >= LOGON_TIMEOUT_NS):
            self.close()
        if self.session is not None and not self.closed:
            if self.session.deadline_ns is not None and self.session.deadline_ns <= now_ns:
                self.session.poll()
            self.flush()

    def attach(self):
        try:
            ids = fix.identify(self.first)
        except fix.RemoteProtocolError:
            self.close()
            return
        if ids is None:
            if len(self.first) > MOST_FIRST:
                self.close()
            return
        begin, sender, target = ids
        application = self.applications.get((begin, sender)) if target == "ISLD" else None
        if application is None or application.session.state != "DISCONNECTED":
            self.close()            # nobody's, or logged on already
            return
        self.session = application.session
        self.session.connected()
        self.session.receive(self.first)

    def flush(self):
        """Write what there is; close once all is written and the session wants it."""
        self.out += self.session.data_to_send()
        if self.out:
            self.out = self.out[self.transport.send(self.out):]
        if not self.out and self.session.close_requested:
            self.close()

    def close(self):
        self.closed = True
        self.transport.close()
        if self.session is not None:
            self.session.disconnected()
