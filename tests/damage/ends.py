"""The three processes of a cell: our stack, the kernel's TCP, the bridge between them. Each runs in its namespace.

Each sends a stream of its own and receives the other's at the same time, over one connection, and ends with FIN. What runs
in a process (our stack, lwIP) says "done" then, or when it gives up, and stays to answer until standard input closes: the
last ACK may be lost, and who has left cannot send it again. The kernel stays by itself.
"""
import hashlib
import importlib
import select
import socket
import struct
import sys
import time

import compiled
import netns

from damage.cells import DAMAGE, Stalls

PORT = 5001
LWIP_IP = "10.77.0.3"       # not one of the kernel's, which would reset lwIP's connections
PIECE = 1 << 16
BUFFER = 1 << 20
TCP_INFO_RTO = 8            # linux/tcp.h struct tcp_info: octets before tcpi_rto (us), tcpi_unacked, tcpi_bytes_acked
TCP_INFO_BYTES_ACKED = 120
TCP_INFO_OCTETS = 256


class Stream:
    """`total` octets in pieces that all differ, hashed as they are taken."""

    def __init__(self, total, salt):
        self.total, self.at, self.salt = total, 0, salt
        self.hash = hashlib.sha256()
        self.body = hashlib.shake_128(salt.encode()).digest(PIECE)
        self.rest = memoryview(b"")

    def look(self):
        """What comes next, at most a piece; empty at the end."""
        if not self.rest:
            n = min(PIECE, self.total - self.at)
            self.rest = memoryview(struct.pack(">Q", self.at) + self.body)[:n]
        return self.rest

    def take(self, n):
        """The first n octets of `look` have been sent."""
        self.hash.update(self.rest[:n])
        self.at += n
        self.rest = self.rest[n:]

    @property
    def done(self):
        return self.at == self.total


def built(name="damage_bridge"):
    """tests/NAME.pyx as run.make_link has compiled it."""
    sys.path.append(str(compiled.BUILD))
    return importlib.import_module(name)


def bridge(damage, seed):
    """Carry frames between left0 and right0 until standard input closes; what the wire did."""
    from dpdk_py import open_device
    from dpdk_py.impair import Impairment
    forward = built().forward
    options = {"ring": 4096, "buffers": 4096, "promiscuous": True}
    with open_device("afpacket:left0", **options) as a, open_device("afpacket:right0", **options) as b:
        left, right = (Impairment(d, seed=seed * 2 + k, side="tx", queue=4096, **DAMAGE[damage])
                       for k, d in enumerate((a, b)))
        print("carrying", flush=True)
        no_room = forward(left, right, sys.stdin.fileno())
        counts = [side.counts("tx") for side in (right, left)]
        total = {name: counts[0][name] + counts[1][name] for name in counts[0]}
        return {**total, "no_room": no_room, "missed": sum(d.stats()["rx_missed"] for d in (a, b)),
                "rx_oversize": sum(d.stats()["rx_oversize"] for d in (a, b)), "to_peer": counts[0], "to_us": counts[1]}


def told_to_leave():
    """Standard input has been closed: the other end is done too."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def accounting(stack):
    """The sentence about frames that are not accounted for; "" if all are."""
    k, net = stack.counters(), stack.net.stats()
    for total, head in (("segments_in", "rx_"), ("segments_out", "tx_")):
        parts = sum(v for name, v in k.items() if name.startswith(head))
        if k[total] != parts:
            return f"{total} is {k[total]}, its reasons add up to {parts}"
    if net["rx_l4"] != k["segments_in"] or net["tx_sent"] != k["segments_out"]:
        return f"{net['rx_l4']}/{net['tx_sent']} segments passed, TCP counts {k['segments_in']}/{k['segments_out']}"
    return ""


def us(peer, total, seed, limit_s, options):
    """Our stack connects to `peer`, an address; both streams, what our sender saw."""
    from dpdk_py import open_device
    from stack import Stack
    wait = built().wait
    out, hash_in, received = Stream(total, f"us {seed}"), hashlib.sha256(), 0
    stalls, shut, acked, done_ns = Stalls(), False, 0, 0
    end = time.monotonic() + limit_s

    def on_data(conn, data):
        nonlocal received
        received += len(data)
        hash_in.update(data)

    with open_device("afpacket:us0", ring=4096, buffers=4096) as device, \
            Stack(device, f"{netns.US_IP}/{netns.PREFIX}", seed=seed, clock=time.monotonic_ns, rcv_buf=BUFFER,
                  snd_buf=BUFFER, **options) as stack:
        stack.net.add_neighbor(peer, netns.PEER_MAC)
        conn = stack.connect(peer, PORT, on_data=on_data)
        while conn.state == "SYN-SENT" and time.monotonic() < end:
            if not stack.step():
                wait(device, 1_000_000)
        began = time.monotonic_ns()
        while time.monotonic() < end:
            work = stack.step()
            now = time.monotonic_ns()
            while not out.done:
                took = conn.send(out.look())
                out.take(took)
                if not took:
                    break
                work = True
            if out.done and not shut:
                shut = True
                conn.shutdown()
            if done_ns:
                if told_to_leave():
                    break
            elif conn.error or (shut and conn.eof and conn.state in ("TIME-WAIT", "CLOSED")):
                done_ns = now
                print("done", flush=True)
            if not shut:
                acked = out.at - (BUFFER - conn.room)
            elif acked < total:
                acked = conn.info()["octets_acked"]
            stalls.look(now, acked, acked < out.at, lambda: conn.info()["rto_ns"])
            if not work:
                due = stack.deadline()
                wait(device, 5_000_000 if due is None else max(0, min(due - time.monotonic_ns(), 5_000_000)))
        if not done_ns:
            print("done", flush=True)
        seconds = ((done_ns or time.monotonic_ns()) - began) / 1e9
        info, k = conn.info(), stack.counters()
        error = conn.error or ("" if done_ns else f"not done after {limit_s} s, {info['state']}")
        return {"sent": out.at, "received": received, "sha256_out": out.hash.hexdigest(), "seconds": round(seconds, 3),
                "sha256_in": hash_in.hexdigest(), "error": error, "stall": stalls.result(), "accounting": accounting(stack),
                "info": info, "counters": {name: v for name, v in k.items() if v}, "net": stack.net.stats(),
                "device": device.stats()}


def tcp_info(sock):
    """(octets acknowledged, RTO in ns) of the kernel's sender."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_OCTETS)
    return struct.unpack_from("Q", raw, TCP_INFO_BYTES_ACKED)[0], struct.unpack_from("I", raw, TCP_INFO_RTO)[0] * 1000


def checksum_drops():
    """Segments this namespace's kernel has refused for their TCP or IP checksum."""
    lines = [line.split() for line in open("/proc/net/snmp")]
    tables = {(name[0], key): int(v) for name, values in zip(lines[::2], lines[1::2], strict=True)
              for key, v in zip(name[1:], values[1:], strict=True)}
    return tables["Tcp:", "InCsumErrors"] + tables["Ip:", "InHdrErrors"]


def linux(control, total, seed, limit_s):
    """The kernel's TCP with congestion control `control` accepts one connection; both streams, what its sender saw."""
    before = checksum_drops()
    out, hash_in, received = Stream(total, f"linux {seed}"), hashlib.sha256(), 0
    stalls, end, eof, error, acked = Stalls(), time.monotonic() + limit_s, False, "", 0
    server = socket.create_server((netns.PEER_IP, PORT))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
    server.settimeout(limit_s)
    print("listening", flush=True)
    sock, _ = server.accept()
    sock.setblocking(False)
    used = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    poller, shut = select.poll(), False
    while time.monotonic() < end and not (eof and shut and acked >= total):
        poller.register(sock, (0 if eof else select.POLLIN) | (0 if out.done else select.POLLOUT))
        poller.poll(1)
        try:
            while not out.done:
                out.take(sock.send(out.look()))
        except BlockingIOError:
            pass
        except OSError as e:
            error = str(e)
            break
        if out.done and not shut:
            shut = True
            sock.shutdown(socket.SHUT_WR)
        try:
            if not eof:
                data = sock.recv(1 << 18)
                received += len(data)
                hash_in.update(data)
                eof = not data
        except BlockingIOError:
            pass
        except OSError as e:
            error = str(e)
            break
        acked, rto = tcp_info(sock)
        stalls.look(time.monotonic_ns(), acked, acked < out.at, lambda: rto)    # noqa: B023  called at once
    if not error and not (eof and shut and acked >= total):
        error = f"not done after {limit_s} s"
    return {"sent": out.at, "received": received, "sha256_out": out.hash.hexdigest(), "sha256_in": hash_in.hexdigest(),
            "error": error, "stall": stalls.result(), "control": used, "checksum_drops": checksum_drops() - before}


def lwip(control, total, seed, limit_s):
    """lwIP accepts one connection; both streams, what its sender saw. `control`: it has only the Reno of its own."""
    from dpdk_py import open_device
    face, wait = built("lwip_face"), built().wait
    out, hash_in, received = Stream(total, f"lwip {seed}"), hashlib.sha256(), 0
    stalls, shut, done, end = Stalls(), False, False, time.monotonic() + limit_s

    def on_text(text):
        nonlocal received
        received += len(text)
        hash_in.update(text)

    with open_device("afpacket:peer0", ring=4096, buffers=4096) as device:
        peer = face.Peer(device, socket.inet_aton(LWIP_IP), netns.US_MAC, PORT, on_text)
        print("listening", flush=True)
        first = None
        while time.monotonic() < end and not peer.error:
            work = peer.step()
            if peer.connected:
                while not out.done:
                    took = peer.send(out.look())
                    out.take(took)
                    if not took:
                        break
                shut = shut or (out.done and peer.shutdown())
                una, rto = peer.unacked
                first = una if first is None else first
                acked = (una - first) % (1 << 32)
                stalls.look(time.monotonic_ns(), acked, acked < out.at, lambda: rto)    # noqa: B023  called at once
            if done:
                if told_to_leave():
                    break
            elif peer.eof and shut and (not peer.connected or acked >= total):
                done = True
                print("done", flush=True)
            if not work:
                wait(device, 1_000_000)
        if not done:
            print("done", flush=True)
        error = peer.error or ("" if done else f"not done after {limit_s} s")
    return {"sent": out.at, "received": received, "sha256_out": out.hash.hexdigest(), "sha256_in": hash_in.hexdigest(),
            "error": error, "stall": stalls.result(), "control": control, "checksum_drops": None}
