"""The socket calls of a script, on stack.Stack: descriptors, blocking, errno, options. Nothing here knows of packets.

A call gives (result, errno name or None), or raises Blocked when it must wait; what this stack has no equivalent for
raises NotHere, which the runner reports as unsupported.
"""
from __future__ import annotations

import errno as errno_numbers

from stack import TcpError
from stack.wire.text import format_ipv4

from .commands import CONGESTION
from .epoll import EVENTS, FLAGS, Epoll
from .packets import REMOTE, text_at
from .script import ELLIPSIS

S, MS = 1_000_000_000, 1_000_000
ERRORS = {"reset": "ECONNRESET", "refused": "ECONNREFUSED", "timeout": "ETIMEDOUT"}
LOCAL_PORT, REMOTE_PORT = 8080, 54321
KEEPALIVE = ("keep_idle_ns", "keep_interval_ns", "keep_count")
SYSTEM_KEEPALIVE = {"keep_idle_ns": 7200 * S, "keep_interval_ns": 75 * S}  # what a script may find where it set nothing
KEEP_COUNT = {"linux": 9, "freebsd": 8}
CORK_NS = 200 * MS                  # Linux lets a cork go after so long; there is no such timer here
EMULATED = "MSG_MORE and TCP_CORK"  # this stack sends at once: what is held back is held back by the player's sockets


class Blocked(Exception):
    """The call cannot return yet; `progress` octets of it are done."""

    def __init__(self, progress=0):
        super().__init__(progress)
        self.progress = progress


class NotHere(Exception):
    """No equivalent in this stack or runner."""


def words(expression):
    """The words of A|B|C."""
    if isinstance(expression, tuple) and expression[0] == "|":
        return words(expression[1]) | words(expression[2])
    return {expression} if expression not in (0, ELLIPSIS) else set()


def unwrap(value):
    """[1] -> 1, htons(80) -> 80, inet_addr("1.2.3.4") -> the text."""
    if isinstance(value, list):
        return unwrap(value[0]) if value else None
    if isinstance(value, tuple) and value[0] in ("htons", "htonl"):
        return value[1]
    if isinstance(value, tuple) and value[0] == "inet_addr":
        return value[1].decode()
    return value


class Socket:
    def __init__(self, options):
        self.options = dict(options)        # what connect() or listen() gives to the stack
        self.nonblocking = False
        self.port = 0                       # bound to
        self.conn = None
        self.listener = None
        self.error = None                   # pending SO_ERROR
        self.error_told = False
        self.linger = None
        self.keepalive = {"on": False, "keep_idle_ns": 7200 * S}
        self.ahead = b""                    # text MSG_PEEK has looked at
        self.corked = False
        self.held = b""                     # text a cork or MSG_MORE keeps back
        self.held_ns = 0                    # since when
        self.values = {}                    # options set that getsockopt() is asked for
        self.written = 0                    # octets given to send()
        self.read = 0                       # octets taken by recv()
        self.connecting = False
        self.shut = False
        self.deaf = False                   # SHUT_RD: read() gives 0 where it would block
        self.set = {}                       # SO_SNDBUF and SO_RCVBUF as they were set


class Sockets:
    """`sent[local port, remote port]`: the octets the stack has accepted for that connection, oldest first."""

    def __init__(self, stack, options, snd_buf):
        self.stack = stack
        self.defaults = options
        self.snd_buf = snd_buf
        self.open = {}
        self.sent = {}
        self.system = None                  # whose rules SO_SNDBUF and SO_RCVBUF are read by
        self.unreachable = "EHOSTUNREACH"   # errno of the last ICMP error, which the stack does not keep apart
        self.keepalive = {}                 # of every new socket, where a script has changed the system's
        self.latest = None                  # the socket %{ }% speaks of

    # -- the calls

    def call(self, name, args, now_ns, again=None):
        """`again`: the Blocked of an earlier try of the same call."""
        method = getattr(self, "do_" + name, None)
        if method is None:
            raise NotHere(f"call {name}()")
        try:
            return method(args, now_ns, again)
        except TcpError as e:
            return -1, errno_numbers.errorcode.get(e.errno, str(e.errno))

    def heard_unreachable(self, code):
        """FreeBSD calls every hard error a refusal; Linux tells two codes from the others."""
        linux = {"port_unreachable": "ECONNREFUSED", "protocol_unreachable": "ENOPROTOOPT"}
        self.unreachable = "ECONNREFUSED" if self.system == "freebsd" else \
            linux.get(code, "EHOSTUNREACH") if self.system == "linux" else "EHOSTUNREACH"

    def error_of(self, sock):
        """The pending errno of a socket, which is then told no more."""
        self.check(sock)
        error, sock.error = sock.error, None
        return error

    def check(self, sock):
        """Moves an error of the connection to where SO_ERROR and the next call find it."""
        if sock.conn is not None and sock.conn.error and not sock.error_told:
            sock.error_told = True
            sock.error = self.unreachable if sock.conn.error == "unreachable" else ERRORS[sock.conn.error]

    def new(self, sock):
        fd = 3
        while fd in self.open:
            fd += 1
        self.open[fd] = sock
        self.latest = sock
        return fd

    def rename(self, fd, to):
        if to in self.open:
            raise AssertionError(f"descriptor {to} is open already")
        self.open[to] = self.open.pop(fd)

    def get(self, fd):
        if fd not in self.open:
            raise AssertionError(f"descriptor {fd} is not open")
        return self.open[fd]

    def do_socket(self, args, now_ns, again):
        kind = words(args[1])
        if "SOCK_STREAM" not in kind or unwrap(args[2]) not in ("IPPROTO_TCP", 0):
            raise NotHere(f"socket of {args[1]}, {args[2]}")
        sock = Socket(self.defaults)
        sock.keepalive.update(self.keepalive)
        sock.nonblocking = "SOCK_NONBLOCK" in kind
        return self.new(sock), None

    def do_bind(self, args, now_ns, again):
        sock = self.get(args[0])
        sock.port = self.port_of(args[1], LOCAL_PORT)
        return 0, None

    def port_of(self, address, default):
        return default if address is ELLIPSIS else unwrap(address["sin_port"])

    def do_listen(self, args, now_ns, again):
        sock = self.get(args[0])
        options = self.to_stack(sock, ("ask", "answer"))
        options["backlog"] = max(1, unwrap(args[1])) if "backlog" not in sock.options else sock.options["backlog"]
        sock.listener = self.stack.listen(sock.port or LOCAL_PORT, **options)
        sock.backlog = args[1]
        return 0, None

    def to_stack(self, sock, ecn):
        """Options for the stack; `ecn`: the modes of tcp_ecn in which this side agrees to it."""
        options = dict(sock.options)
        if isinstance(mode := options.pop("ecn", False), str):
            mode = mode in ecn
        options["ecn"] = mode
        if sock.keepalive["on"]:
            options.update({k: v for k, v in sock.keepalive.items() if k != "on"})
        return options

    def do_accept(self, args, now_ns, again):
        sock = self.get(args[0])
        conn = sock.listener.accept()
        if conn is None:
            return self.wait(sock, "EAGAIN")
        made = Socket(sock.options)
        made.conn, made.set = conn, dict(sock.set)
        self.sent[conn.local[1], conn.remote[1]] = bytearray()
        made.keepalive = dict(sock.keepalive)
        made.values = dict(sock.values)
        made.nonblocking = len(args) > 3 and "SOCK_NONBLOCK" in words(args[3])
        return self.new(made), None

    do_accept4 = do_accept

    def wait(self, sock, error):
        if sock.nonblocking:
            return -1, error
        raise Blocked

    def do_connect(self, args, now_ns, again):
        sock = self.get(args[0])
        if sock.conn is None:
            port = self.port_of(args[1], REMOTE_PORT)
            sock.conn = self.stack.connect(format_ipv4(REMOTE), port, local_port=sock.port or LOCAL_PORT,
                                           now_ns=now_ns, **self.to_stack(sock, ("ask",)))
            self.sent[sock.conn.local[1], port] = bytearray()
            sock.connecting = True
            return self.wait(sock, "EINPROGRESS")
        if error := self.error_of(sock):
            sock.connecting = False
            return -1, error
        if sock.conn.state in ("SYN-SENT", "SYN-RECEIVED"):
            return (-1, "EALREADY") if not again else self.wait(sock, "EALREADY")
        if sock.conn.state == "CLOSED":
            return -1, "ECONNABORTED"
        if not again and not sock.connecting:
            return -1, "EISCONN"
        sock.connecting = False
        return 0, None

    SEND_FLAGS = {"MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_MORE", "MSG_OOB"}

    def do_write(self, args, now_ns, again):
        return self.send_flagged(self.get(args[0]), args[1], unwrap(args[2]), set(), now_ns, again)

    def do_send(self, args, now_ns, again):
        flags = words(args[3]) if len(args) > 3 else set()
        return self.send_flagged(self.get(args[0]), args[1], unwrap(args[2]), flags, now_ns, again)

    do_sendto = do_send

    def do_writev(self, args, now_ns, again):
        return self.send_flagged(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]), set(), now_ns, again)

    def do_sendmsg(self, args, now_ns, again):
        if args[1].get("msg_control"):
            raise NotHere("sendmsg with control data")
        return self.send_flagged(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]["msg_iov"]), words(args[2]), now_ns,
                                 again)

    def send_flagged(self, sock, content, n, flags, now_ns, again):
        if flags - self.SEND_FLAGS:
            raise NotHere(f"send flags {'|'.join(sorted(map(str, flags - self.SEND_FLAGS)))}")
        if content == "NULL" and n:
            return -1, "EFAULT"
        if n == 0 and sock.conn is not None and not sock.shut:
            return 0, None
        if "MSG_OOB" in flags and sock.conn is not None and sock.conn.state != "CLOSED":
            result = self.send(sock, content, n, now_ns, again, "MSG_DONTWAIT" in flags)
            sock.conn.urgent()
            return result
        if (sock.corked or sock.held or "MSG_MORE" in flags) and not again and sock.conn is not None \
                and sock.conn.state in ("ESTABLISHED", "CLOSE-WAIT"):
            return self.hold(sock, content, n, "MSG_MORE" in flags or sock.corked, now_ns)
        return self.send(sock, content, n, now_ns, again, "MSG_DONTWAIT" in flags)

    def hold(self, sock, content, n, more, now_ns):
        """What fills segments goes, the rest waits if there is to be more."""
        at = len(self.sent[sock.conn.local[1], sock.conn.remote[1]]) + len(sock.held) + 1
        if not sock.held:
            sock.held_ns = now_ns
        sock.held += content[:n] if isinstance(content, bytes) else text_at(at, n)
        keep = len(sock.held) % sock.conn.info()["mss"] if more else 0
        self.release(sock, now_ns, keep)
        return n, None

    def release(self, sock, now_ns, keep=0):
        """What a cork has kept back goes out, but for the last `keep` octets."""
        go, sock.held = sock.held[:len(sock.held) - keep], sock.held[len(sock.held) - keep:]
        if go and self.send(sock, go, len(go), now_ns, None, True) != (len(go), None):
            raise NotHere(f"{EMULATED} beyond the send buffer")

    def check_corks(self, now_ns):
        """NotHere where Linux would have let text go that is still held."""
        for sock in self.open.values():
            if isinstance(sock, Socket) and sock.held and now_ns - sock.held_ns >= CORK_NS:
                raise NotHere(f"{EMULATED} for more than 200 ms")

    def send(self, sock, content, n, now_ns, again, dontwait=False):
        if sock.conn is None:
            return -1, "EPIPE"
        if error := self.error_of(sock):
            return -1, error
        if sock.shut or sock.conn.state in ("CLOSED", "TIME-WAIT"):
            return -1, "EPIPE"
        if sock.conn.state in ("SYN-SENT", "SYN-RECEIVED") and not sock.nonblocking:
            raise Blocked
        if sock.conn.state == "SYN-SENT":
            return -1, "EAGAIN"
        start = getattr(again, "progress", 0)       # octets a blocked call has already handed over
        sent = self.sent[sock.conn.local[1], sock.conn.remote[1]]
        data = content[start:n] if isinstance(content, bytes) else text_at(len(sent) + 1, n - start)
        taken = sock.conn.send(data, now_ns)
        sent += data[:taken]
        sock.written += taken
        if start + taken == n:
            return n, None
        if sock.nonblocking or dontwait:
            return (taken, None) if taken else (-1, "EAGAIN")
        raise Blocked(start + taken)

    def do_read(self, args, now_ns, again):
        return self.receive(self.get(args[0]), args[1], unwrap(args[2]), set(), now_ns, again)

    def do_recv(self, args, now_ns, again):
        flags = words(args[3]) if len(args) > 3 else set()
        return self.receive(self.get(args[0]), args[1], unwrap(args[2]), flags, now_ns, again)

    do_recvfrom = do_recv

    def do_readv(self, args, now_ns, again):
        return self.receive(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]), set(), now_ns, again)

    def do_recvmsg(self, args, now_ns, again):
        if args[1].get("msg_control"):
            raise NotHere("recvmsg with control data")
        if words(args[1].get("msg_flags", 0)):
            raise NotHere("recvmsg with flags in its result")
        return self.receive(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]["msg_iov"]),
                            words(args[2]) if len(args) > 2 else set(), now_ns, again)

    RECEIVE_FLAGS = {"MSG_DONTWAIT", "MSG_PEEK", "MSG_WAITALL", "MSG_TRUNC", "MSG_NOSIGNAL"}

    def receive(self, sock, content, n, flags, now_ns, again):
        if flags - self.RECEIVE_FLAGS:
            raise NotHere(f"recv flags {'|'.join(sorted(map(str, flags - self.RECEIVE_FLAGS)))}")
        if sock.conn is None:
            return -1, "ENOTCONN"
        if content == "NULL" and (sock.ahead or sock.conn.waiting) and "MSG_TRUNC" not in flags:
            return -1, "EFAULT"
        if "MSG_WAITALL" in flags and len(sock.ahead) + sock.conn.waiting < n and not sock.conn.eof \
                and sock.conn.state not in ("CLOSED", "TIME-WAIT"):
            return self.wait(sock, "EAGAIN")
        if len(sock.ahead) < n:
            sock.ahead += sock.conn.recv(n - len(sock.ahead), now_ns)
        data = sock.ahead[:n]
        if data:
            if data != text_at(sock.read + 1, len(data)):
                raise AssertionError(f"octets {sock.read + 1}.. read are not those the peer sent")
            if "MSG_PEEK" not in flags:
                sock.ahead = sock.ahead[n:]
                sock.read += len(data)
            return len(data), None
        if error := self.error_of(sock):
            return -1, error
        if sock.conn.eof or sock.conn.state in ("CLOSED", "TIME-WAIT") or n == 0:
            return 0, None
        if sock.deaf:
            return 0, None
        if "MSG_DONTWAIT" in flags:
            return -1, "EAGAIN"
        return self.wait(sock, "EAGAIN")

    def do_shutdown(self, args, now_ns, again):
        sock, how = self.get(args[0]), unwrap(args[1])
        if sock.conn is None or sock.conn.state in ("CLOSED", "SYN-SENT"):
            return -1, "ENOTCONN"
        if how not in ("SHUT_RD", "SHUT_WR", "SHUT_RDWR", 0, 1, 2):
            return -1, "EINVAL"
        if how in ("SHUT_RD", "SHUT_RDWR", 0, 2):
            sock.deaf = True
        if how in ("SHUT_WR", "SHUT_RDWR", 1, 2):
            self.release(sock, now_ns)
            sock.conn.shutdown(now_ns)
            sock.shut = True
        return 0, None

    def do_close(self, args, now_ns, again):
        sock = self.open.pop(args[0], None)
        if sock is None:
            return -1, "EBADF"
        if sock.listener is not None:
            sock.listener.close(now_ns)
        elif sock.conn is not None and sock.conn.state != "CLOSED":
            if sock.linger == (1, 0):
                sock.conn.abort(now_ns)
            else:
                self.release(sock, now_ns)
                sock.conn.close(now_ns)
        return 0, None

    def do_fcntl(self, args, now_ns, again):
        sock, what = self.get(args[0]), args[1]
        if what == "F_GETFL":
            return ("flags", {"O_RDWR", "O_NONBLOCK"} if sock.nonblocking else {"O_RDWR"}), None
        if what == "F_SETFL":
            sock.nonblocking = "O_NONBLOCK" in words(args[2])
            return 0, None
        raise NotHere(f"fcntl {what}")

    def do_ioctl(self, args, now_ns, again):
        sock, what, out = self.get(args[0]), args[1], unwrap(args[2])
        if sock.conn is None:
            return -1, "EINVAL"
        if what in ("SIOCINQ", "FIONREAD"):
            value = len(sock.ahead) + sock.conn.waiting
        elif what == "SIOCOUTQ":
            info = sock.conn.info()
            value = info["unacked"] + info["unsent"] + len(sock.held)
        else:
            raise NotHere(f"ioctl {what}")
        if out is not None and out is not ELLIPSIS and out != value:
            raise AssertionError(f"ioctl {what} gives {value}, not {out}")
        return 0, None

    def do_poll(self, args, now_ns, again):
        """Checks revents; waits only if the script gives the call an end time."""
        count = 0
        for entry in args[0]:
            found = self.events(self.get(entry["fd"])) & (words(entry["events"]) | {"POLLERR", "POLLHUP"})
            wanted = words(entry.get("revents", 0))
            if wanted != found:
                if unwrap(args[2]) != 0 and not found:
                    raise Blocked
                raise AssertionError(f"poll gives {'|'.join(sorted(found)) or 0}, not {'|'.join(sorted(wanted)) or 0}")
            count += bool(found)
        return count, None

    def events(self, sock):
        self.check(sock)
        found = set()
        if sock.listener is not None:
            return {"POLLIN"} if sock.listener.waiting else set()
        conn = sock.conn
        if conn is None:
            return {"POLLOUT", "POLLHUP"}
        if sock.error:
            found.add("POLLERR")
        if sock.ahead or conn.waiting or conn.eof or sock.error_told:
            found.add("POLLIN")
        if conn.eof or sock.error_told:
            found.add("POLLRDHUP")
        if conn.state == "CLOSED" or (conn.eof and sock.shut):
            found.add("POLLHUP")
        if conn.state not in ("SYN-SENT", "SYN-RECEIVED") and (conn.room or conn.state == "CLOSED"):
            found.add("POLLOUT")
        return found

    def do_epoll_create(self, args, now_ns, again):
        return self.new(Epoll()), None

    do_epoll_create1 = do_epoll_create

    def do_epoll_ctl(self, args, now_ns, again):
        wanted = words(args[3]["events"]) if len(args) > 3 and isinstance(args[3], dict) else set()
        if wanted - FLAGS - set(EVENTS):
            raise NotHere(f"epoll events {'|'.join(sorted(map(str, wanted - FLAGS - set(EVENTS))))}")
        self.get(args[2])
        error = self.get(args[0]).control(args[1], args[2], wanted)
        return (-1, error) if error else (0, None)

    def do_epoll_wait(self, args, now_ns, again):
        def look(fd):
            sock = self.open.get(fd)
            if sock is None:
                return None
            return self.events(sock), sock.read + len(sock.ahead) + (sock.conn.waiting if sock.conn is not None else 0)

        expected = [e for e in (args[1] if isinstance(args[1], list) else [args[1]]) if isinstance(e, dict)]
        wanted = [(e.get("fd"), words(e["events"])) for e in expected if words(e["events"])]
        found = self.get(args[0]).wait(args[2], look)
        if not found and unwrap(args[3]) != 0:
            raise Blocked
        if found != wanted and args[1] is not ELLIPSIS:
            raise AssertionError(f"epoll_wait gives {found}, not {wanted}")
        return len(found), None

    do_epoll_pwait = do_epoll_wait

    # -- options

    NOTHING = {"SO_REUSEADDR", "SO_REUSEPORT", "SO_DEBUG", "TCP_QUICKACK", "SO_PRIORITY", "SO_ZEROCOPY", "SO_MARK",
               "IP_FREEBIND", "IP_RECVERR", "SO_BUSY_POLL", "TCP_LINGER2", "SO_OOBINLINE"}
    DSCP = {"IPTOS_LOWDELAY": 0x10, "IPTOS_THROUGHPUT": 0x08, "IPTOS_RELIABILITY": 0x04, "IPTOS_DSCP_EF": 0xB8,
            "IPTOS_DSCP_VA": 0xB0, **{f"IPTOS_DSCP_CS{k}": k << 5 for k in range(8)},
            **{f"IPTOS_DSCP_AF{a}{b}": a << 5 | b << 3 for a in range(1, 5) for b in range(1, 4)}}
    NANOSECONDS = {"TCP_KEEPIDLE": ("keep_idle_ns", S), "TCP_KEEPINTVL": ("keep_interval_ns", S),
                   "TCP_USER_TIMEOUT": ("user_timeout_ns", MS)}

    def do_setsockopt(self, args, now_ns, again):
        sock, name, value = self.get(args[0]), args[2], unwrap(args[3])
        opened = sock.conn is not None or sock.listener is not None
        value = self.DSCP.get(value, value) if isinstance(value, str) else value
        if name in self.NOTHING:
            sock.values[name] = value
            return 0, None
        if name in ("TCP_CORK", "TCP_NOPUSH", "TCP_NODELAY"):
            sock.values[name] = value
            if name != "TCP_NODELAY":
                sock.corked = bool(value)
            if sock.conn is not None and (name == "TCP_NODELAY") == bool(value):
                self.release(sock, now_ns)
            return 0, None
        if name == "TCP_NOTSENT_LOWAT" and value in (-1, 0xFFFFFFFF):
            sock.values[name] = value
            return 0, None
        if name == "IP_MTU_DISCOVER" and value in ("IP_PMTUDISC_DONT", "IP_PMTUDISC_WANT", "IP_PMTUDISC_DO"):
            return 0, None                  # DF is set on every segment, and an MSS the path does not take is lowered
        if name == "SO_LINGER":
            sock.linger = value["onoff"], value["linger"]
            if sock.linger[0] and sock.linger[1]:
                raise NotHere("SO_LINGER with a time")
            return 0, None
        if name in ("SO_SNDBUF", "SO_RCVBUF"):
            sock.set[name] = value
        if name == "SO_SNDBUF" and sock.conn is not None and 1 << 16 <= value <= self.snd_buf:
            return 0, None                  # already has that much
        if name in ("SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
            if opened:
                raise NotHere(f"{name} on an open socket")
            sock.values[name] = value
            if name == "SO_KEEPALIVE":
                sock.keepalive["on"] = bool(value)
            elif name == "TCP_KEEPCNT":
                sock.keepalive["keep_count"] = value
            else:
                key, unit = self.NANOSECONDS[name]
                sock.keepalive[key] = value * unit
            return 0, None
        known = {"SO_SNDBUF": "snd_buf", "SO_RCVBUF": "rcv_buf", "TCP_MAXSEG": "mss", "IP_TOS": "tos", "IP_TTL": "ttl"}
        if name in ("IP_TOS", "IP_TTL") and sock.conn is not None and sock.conn.state != "CLOSED":
            sock.conn.mark(**{known[name]: value & 0xFC if name == "IP_TOS" else value})
            return 0, None
        if sock.conn is not None:
            raise NotHere(f"{name} on an open socket")
        if name in known:
            sock.options[known[name]] = value & 0xFC if name == "IP_TOS" else value
        elif name == "TCP_USER_TIMEOUT":
            sock.options["user_timeout_ns"] = value * MS
            sock.values[name] = value
        elif name == "TCP_KEEPINIT":
            sock.options["syn_timeout_ns"] = value * S
            sock.values[name] = value
        elif name == "TCP_SYNCNT":
            sock.options["syn_timeout_ns"] = ((2 << value) - 1) * S
        elif name == "TCP_CONGESTION" and isinstance(value, bytes) and value.decode() in CONGESTION:
            sock.options["congestion"] = CONGESTION[value.decode()]
        else:
            raise NotHere(f"option {name}")
        if sock.listener is not None:       # what it accepts from now on is to have it
            sock.listener.close(now_ns)
            self.do_listen([args[0], sock.backlog], now_ns, None)
        return 0, None

    def buffer_size(self, sock, name):
        """What the script's system would say: Linux gives twice what was set, FreeBSD whole segments once it is open."""
        if self.system is None:
            raise NotHere(f"getsockopt {name}")
        if self.system == "linux":
            if name not in sock.set:
                raise NotHere(f"{name} as Linux chooses it")
            return 2 * sock.set[name]
        value = sock.set.get(name, 65536 if name == "SO_RCVBUF" else 32768)
        if sock.conn is not None and sock.conn.state not in ("SYN-SENT", "SYN-RECEIVED", "CLOSED"):
            mss = sock.conn.info()["mss"]
            value = -(-value // mss) * mss
        return value

    def do_getsockopt(self, args, now_ns, again):
        sock, name, wanted = self.get(args[0]), args[2], unwrap(args[3])
        if name == "SO_ERROR":
            found = self.error_of(sock)
            value = getattr(errno_numbers, found) if found else 0
            if isinstance(wanted, str):
                wanted = getattr(errno_numbers, wanted)
        elif name == "TCP_MAXSEG" and sock.conn is not None:
            value = sock.conn.info()["mss"]
        elif name == "TCP_MAXSEG":
            value = 536
        elif name == "TCP_NODELAY":
            value = sock.values.get(name, 1 if self.system is None else 0)
        elif name in sock.values:
            value = sock.values[name]
        elif name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            key = self.NANOSECONDS[name][0]
            value = {**SYSTEM_KEEPALIVE, **self.keepalive}[key] // S
        elif name == "TCP_KEEPCNT":
            value = self.keepalive.get("keep_count", KEEP_COUNT.get(self.system))
        elif name == "TCP_KEEPINIT":
            value = sock.options.get("syn_timeout_ns", 75 * S) // S
        elif name in ("SO_KEEPALIVE", "SO_REUSEADDR", "SO_REUSEPORT", "TCP_CORK", "TCP_NOPUSH", "TCP_USER_TIMEOUT"):
            value = 0
        elif name in ("IP_TTL", "IP_TOS"):
            value = sock.options.get("ttl", 64) if name == "IP_TTL" else sock.options.get("tos", 0)
        elif name == "SO_TYPE":
            value = "SOCK_STREAM"
        elif name in ("SO_SNDBUF", "SO_RCVBUF"):
            value = self.buffer_size(sock, name)
        else:
            raise NotHere(f"getsockopt {name}")
        if wanted is not ELLIPSIS and wanted != value:
            raise AssertionError(f"{name} is {value}, not {wanted}")
        return 0, None
