"""The socket calls of a script, on stack.Stack: descriptors, blocking, errno, options. Nothing here knows of packets.

A call gives (result, errno name or None), or raises Blocked when it must wait; what this stack has no equivalent for
raises NotHere, which the runner reports as unsupported.
"""
from __future__ import annotations

import errno as errno_numbers

from stack import TcpError
from stack.wire.text import format_ipv4

from .packets import REMOTE, text_at
from .script import ELLIPSIS

S, MS = 1_000_000_000, 1_000_000
ERRORS = {"reset": "ECONNRESET", "refused": "ECONNREFUSED", "timeout": "ETIMEDOUT", "unreachable": "EHOSTUNREACH"}
LOCAL_PORT, REMOTE_PORT = 8080, 54321


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
        self.written = 0                    # octets given to send()
        self.read = 0                       # octets taken by recv()
        self.connecting = False
        self.shut = False
        self.deaf = False                   # SHUT_RD: read() gives 0 where it would block
        self.set = {}                       # SO_SNDBUF and SO_RCVBUF as they were set

    def check(self):
        """Moves an error of the connection to where SO_ERROR and the next call find it."""
        if self.conn is not None and self.conn.error and not self.error_told:
            self.error, self.error_told = ERRORS[self.conn.error], True

    def take_error(self):
        self.check()
        error, self.error = self.error, None
        return error


class Sockets:
    """`sent[local port, remote port]`: the octets the stack has accepted for that connection, oldest first."""

    def __init__(self, stack, options, snd_buf):
        self.stack = stack
        self.defaults = options
        self.snd_buf = snd_buf
        self.open = {}
        self.sent = {}
        self.buffers = None                 # whose rules SO_SNDBUF and SO_RCVBUF are read by
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
        options = self.to_stack(sock)
        options["backlog"] = max(1, unwrap(args[1])) if "backlog" not in sock.options else sock.options["backlog"]
        sock.listener = self.stack.listen(sock.port or LOCAL_PORT, **options)
        sock.backlog = args[1]
        return 0, None

    def to_stack(self, sock):
        options = dict(sock.options)
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
                                           now_ns=now_ns, **self.to_stack(sock))
            self.sent[sock.conn.local[1], port] = bytearray()
            sock.connecting = True
            return self.wait(sock, "EINPROGRESS")
        if error := sock.take_error():
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

    def do_write(self, args, now_ns, again):
        sock, n = self.get(args[0]), unwrap(args[2])
        return self.send(sock, args[1], n, now_ns, again)

    def do_send(self, args, now_ns, again):
        flags = words(args[3]) if len(args) > 3 else set()
        if flags - {"MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_EOR"}:
            raise NotHere(f"send flags {'|'.join(sorted(map(str, flags)))}")
        return self.send(self.get(args[0]), args[1], unwrap(args[2]), now_ns, again, "MSG_DONTWAIT" in flags)

    do_sendto = do_send

    def do_writev(self, args, now_ns, again):
        return self.send(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]), now_ns, again)

    def do_sendmsg(self, args, now_ns, again):
        if args[1].get("msg_control") or words(args[2]) - {"MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_EOR"}:
            raise NotHere("sendmsg with control data or flags")
        return self.send(self.get(args[0]), ELLIPSIS, sum(v[1] for v in args[1]["msg_iov"]), now_ns, again,
                         "MSG_DONTWAIT" in words(args[2]))

    def send(self, sock, content, n, now_ns, again, dontwait=False):
        if sock.conn is None:
            return -1, "EPIPE"
        if error := sock.take_error():
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
        return self.receive(self.get(args[0]), unwrap(args[2]), now_ns)

    def do_recv(self, args, now_ns, again):
        flags = words(args[3]) if len(args) > 3 else set()
        if flags - {"MSG_DONTWAIT"}:
            raise NotHere(f"recv flags {'|'.join(sorted(map(str, flags)))}")
        return self.receive(self.get(args[0]), unwrap(args[2]), now_ns, "MSG_DONTWAIT" in flags)

    do_recvfrom = do_recv

    def do_readv(self, args, now_ns, again):
        return self.receive(self.get(args[0]), sum(v[1] for v in args[1]), now_ns)

    def do_recvmsg(self, args, now_ns, again):
        if args[1].get("msg_control"):
            raise NotHere("recvmsg with control data")
        return self.receive(self.get(args[0]), sum(v[1] for v in args[1]["msg_iov"]), now_ns)

    def receive(self, sock, n, now_ns, dontwait=False):
        if sock.conn is None:
            return -1, "ENOTCONN"
        data = sock.conn.recv(n, now_ns)
        if data:
            if data != text_at(sock.read + 1, len(data)):
                raise AssertionError(f"octets {sock.read + 1}.. read are not those the peer sent")
            sock.read += len(data)
            return len(data), None
        if error := sock.take_error():
            return -1, error
        if sock.conn.eof or sock.conn.state in ("CLOSED", "TIME-WAIT") or n == 0:
            return 0, None
        if sock.deaf:
            return 0, None
        if dontwait:
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
        if what == "SIOCINQ":
            value = sock.conn.waiting
        elif what == "SIOCOUTQ":
            info = sock.conn.info()
            value = info["unacked"] + info["unsent"]
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
        sock.check()
        found = set()
        if sock.listener is not None:
            raise NotHere("poll on a listening socket")
        conn = sock.conn
        if conn is None:
            return {"POLLOUT", "POLLHUP"}
        if sock.error:
            found.add("POLLERR")
        if conn.waiting or conn.eof or sock.error_told:
            found.add("POLLIN")
        if conn.eof or sock.error_told:
            found.add("POLLRDHUP")
        if conn.state == "CLOSED" or (conn.eof and sock.shut):
            found.add("POLLHUP")
        if conn.state not in ("SYN-SENT", "SYN-RECEIVED") and (conn.room or conn.state == "CLOSED"):
            found.add("POLLOUT")
        return found

    # -- options

    NOTHING = {"SO_REUSEADDR", "SO_REUSEPORT", "SO_DEBUG", "TCP_NODELAY", "TCP_QUICKACK", "IP_MTU_DISCOVER",
               "SO_PRIORITY", "SO_ZEROCOPY"}
    NANOSECONDS = {"TCP_KEEPIDLE": ("keep_idle_ns", S), "TCP_KEEPINTVL": ("keep_interval_ns", S),
                   "TCP_USER_TIMEOUT": ("user_timeout_ns", MS)}

    def do_setsockopt(self, args, now_ns, again):
        sock, name, value = self.get(args[0]), args[2], unwrap(args[3])
        opened = sock.conn is not None or sock.listener is not None
        if name in self.NOTHING:
            return 0, None
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
            if name == "SO_KEEPALIVE":
                sock.keepalive["on"] = bool(value)
            elif name == "TCP_KEEPCNT":
                sock.keepalive["keep_count"] = value
            else:
                key, unit = self.NANOSECONDS[name]
                sock.keepalive[key] = value * unit
            return 0, None
        known = {"SO_SNDBUF": "snd_buf", "SO_RCVBUF": "rcv_buf", "TCP_MAXSEG": "mss", "IP_TOS": "tos", "IP_TTL": "ttl"}
        if sock.conn is not None:
            raise NotHere(f"{name} on an open socket")
        if name in known:
            sock.options[known[name]] = value & 0xFC if name == "IP_TOS" else value
        elif name == "TCP_USER_TIMEOUT":
            sock.options["user_timeout_ns"] = value * MS
        elif name == "TCP_SYNCNT":
            sock.options["syn_timeout_ns"] = ((2 << value) - 1) * S
        elif name == "TCP_CONGESTION" and value in (b"reno", b"newreno", b"dctcp"):
            sock.options["congestion"] = "dctcp" if value == b"dctcp" else "newreno"
        else:
            raise NotHere(f"option {name}")
        if sock.listener is not None:       # what it accepts from now on is to have it
            sock.listener.close(now_ns)
            self.do_listen([args[0], sock.backlog], now_ns, None)
        return 0, None

    def buffer_size(self, sock, name):
        """What the script's system would say: Linux gives twice what was set, FreeBSD whole segments once it is open."""
        if self.buffers is None:
            raise NotHere(f"getsockopt {name}")
        if self.buffers == "linux":
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
            found = sock.take_error()
            value = getattr(errno_numbers, found) if found else 0
            if isinstance(wanted, str):
                wanted = getattr(errno_numbers, wanted)
        elif name == "TCP_MAXSEG" and sock.conn is not None:
            value = sock.conn.info()["mss"]
        elif name == "TCP_MAXSEG":
            value = 536
        elif name in ("TCP_NODELAY",):
            value = 1
        elif name in ("SO_SNDBUF", "SO_RCVBUF"):
            value = self.buffer_size(sock, name)
        else:
            raise NotHere(f"getsockopt {name}")
        if wanted is not ELLIPSIS and wanted != value:
            raise AssertionError(f"{name} is {value}, not {wanted}")
        return 0, None
