"""Mutated frames through the whole stack: no crash, no growth, every frame accounted for, and it still works.

FIXWIRE_FUZZ=N frames (100,000 unless set; `make soak` sets 10,000,000). The seed is FIXWIRE_FUZZ_SEED, 1 unless set.
"""
import os
import random
import struct

from segments import (
    ACK,
    CWR,
    ECE,
    FIN,
    MSS,
    OUR_ADDR,
    OUR_MAC,
    PEER,
    PEER_ADDR,
    PEER_MAC,
    PSH,
    RST,
    SACK_OK,
    SYN,
    URG,
    US,
    Link,
    checksum,
    f,
    mss,
    tcp_frame,
    ts,
    wscale,
)

COUNT = int(os.environ.get("FIXWIRE_FUZZ", 100_000))
SEED = int(os.environ.get("FIXWIRE_FUZZ_SEED", 1))
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def fixed(frame):
    """The frame with the checksums its lengths ask for, as far as they make sense."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return frame
    hlen = (frame[14] & 15) * 4
    total = int.from_bytes(frame[16:18], "big")
    if hlen < 20 or len(frame) < 14 + hlen or not hlen <= total <= len(frame) - 14:
        return frame
    frame = bytearray(frame)
    frame[24:26] = b"\0\0"
    frame[24:26] = checksum(bytes(frame[14:14 + hlen])).to_bytes(2, "big")
    at, end = 14 + hlen, 14 + total
    if frame[23] == 6 and end - at >= 20:
        frame[at + 16:at + 18] = b"\0\0"
        pseudo = bytes(frame[26:34]) + struct.pack("!BBH", 0, 6, end - at)
        frame[at + 16:at + 18] = checksum(pseudo + bytes(frame[at:end])).to_bytes(2, "big")
    elif frame[23] == 1 and end - at >= 4:
        frame[at + 2:at + 4] = b"\0\0"
        frame[at + 2:at + 4] = checksum(bytes(frame[at:end])).to_bytes(2, "big")
    return bytes(frame)


def corpus(link):
    """Frames that mean something to the stack as it stands: around its connection, its listener, its neighbours."""
    seq, ack = link.live(PEER + 1), link.live(US + 1)
    frames = []
    options = (b"", mss(MSS), mss(MSS) + SACK_OK + wscale(7), ts(5, 6), b"\1\1\5\12" + struct.pack("!Q", ack << 32 | ack),
               b"\1\1\5\42" + struct.pack("!8I", *((ack + i) % 2**32 for i in range(8))), bytes(40), b"\x02\x04",
               b"\x08\x0a\0\0")
    for flags in (SYN, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, URG | ACK, ACK | ECE, ACK | CWR, 0, 255):
        for opts in options:
            for sport, dport in ((80, 50000), (80, 50001), (81, 50000)):
                for off in (0, 1, -1, 1000, 60000, 70000):
                    frames.append(tcp_frame(sport, dport, seq + off, ack, flags, 65535, opts, f(off % 100, off % 50)))
    quoted = frames[0][14:42]
    for kind, code in ((3, 4), (3, 3), (3, 1), (8, 0), (11, 0), (5, 1), (4, 0)):
        body = struct.pack("!BBHHH", kind, code, 0, 0, 576) + quoted[:12] + OUR_ADDR + PEER_ADDR \
            + struct.pack("!HHI", 50000, 80, ack)
        frames.append(fixed(OUR_MAC + PEER_MAC + b"\x08\x00" + struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, PEER_ADDR, OUR_ADDR) + body))
    arp = b"\0\1\x08\0\6\4\0\1" + PEER_MAC + PEER_ADDR + bytes(6) + OUR_ADDR
    frames += [b"\xff" * 6 + PEER_MAC + b"\x08\x06" + arp, OUR_MAC + PEER_MAC + b"\x08\x06" + arp[:7] + b"\2" + arp[8:]]
    frames += [frames[0][:12] + b"\x81\0\0\5" + frames[0][12:], frames[0] + bytes(20), b"", bytes(60)]
    return frames


def mutate(rng, frame):
    frame = bytearray(frame)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4, 8))):
        kind = rng.random()
        if not frame:
            frame += rng.randbytes(rng.randrange(80))
        elif kind < 0.5:
            frame[rng.randrange(min(len(frame), 74))] = rng.choice(INTERESTING) if rng.random() < 0.4 else rng.randrange(256)
        elif kind < 0.7:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            del frame[rng.randrange(len(frame) + 1):]
        elif kind < 0.9:
            at = rng.randrange(len(frame))
            frame[at:at] = rng.randbytes(rng.randrange(1, 30))
        elif len(frame) >= 54:                              # near what the connection expects: what deep code sees
            at = rng.choice((38, 42))
            value = int.from_bytes(frame[at:at + 4], "big") + rng.choice((1, -1, 2**31, 65535, 100, 1460))
            frame[at:at + 4] = (value % 2**32).to_bytes(4, "big")
    frame = bytes(frame[:1514])
    return fixed(frame) if rng.random() < 0.7 else frame


def fresh(seed):
    """A stack with a connection that has text both ways in flight, a listener, a half-open one."""
    link = Link(seed=seed, connections=16, timestamps=bool(seed & 1), ecn=bool(seed & 2), flight=64)
    link.stack.listen(50001, backlog=4)
    link.established(opts=mss(MSS) + SACK_OK + wscale(2) + (ts(1, 0) if seed & 1 else b""))
    link.conn.send(f(0, 4000))
    link.rx(ACK, seq=PEER + 500, ack=US + 1, text=f(499, 100))
    return link


def test_mutated_frames():
    rng = random.Random(SEED)
    done = round_ = 0
    seen = {}
    while done < COUNT:
        link = fresh(round_)
        round_ += 1
        frames = corpus(link)
        sent = refused = 0
        for _ in range(min(2000, COUNT - done)):
            frame = mutate(rng, rng.choice(frames))
            done += 1
            if frame and link.peer.tx(frame):
                sent += 1
            else:
                refused += 1
            if sent & 7 == 0:
                link.now += rng.choice((1000, 1_000_000, 300_000_000))
                link.step()
                while link.peer.rx_burst(32, link.now):
                    pass
                if rng.random() < 0.05 and link.conn.state == "ESTABLISHED":
                    link.conn.send(f(0, 300))
                    link.conn.recv()
        for _ in range(4):
            link.step()
        k, net = link.counted(), link.stack.net.stats()
        assert net["rx_frames"] == sum(v for name, v in net.items() if name.startswith("rx_") and name != "rx_frames")
        assert net["rx_l4"] == k["segments_in"] and k["connections"] <= 16
        for name, value in k.items():
            seen[name] = seen.get(name, 0) + value
        link.wait(900_000_000_000)                          # whatever state it was led into passes
        while link.peer.rx_burst(32, link.now):
            pass
        works(link)
    # It reached what it is meant to reach
    assert COUNT < 100_000 or all(seen["rx_" + verdict] for verdict in (
        "accepted", "out_of_order", "malformed", "checksum", "no_connection", "duplicate", "outside_window", "paws",
        "bad_ack", "challenged", "bad_rst", "no_ack", "bad_cookie", "no_match")), seen


def works(link):
    """A client that behaves is served."""
    client = Link()
    client.stack, client.peer, client.now = link.stack, link.peer, link.now
    client.sport, client.dport = 50001, 4000
    client.rx(SYN, seq=PEER, opts=mss(MSS))
    got = client.sent()
    while got is not None and not (got.flags == SYN | ACK and got.dport == 4000):
        got = client.sent()
    assert got is not None, "the listener does not answer any more"
    client.iss = got.seq
    client.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"still there?")
    conns = [c for c in link.stack.connections if c.remote == ("10.0.0.2", 4000)]
    assert conns and conns[0].recv() == b"still there?"
