"""Frames from packets of a script, and frames of the stack read back: plain Python that shares no code with stack/."""
from __future__ import annotations

import dataclasses
import struct

LOCAL, REMOTE = 0xC0000201, 0xC0000202          # 192.0.2.1, 192.0.2.2 (RFC 5737)
LOCAL_MAC, REMOTE_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
ECN = ("noecn", "ect1", "ect0", "ce")
ICMP_CODES = {
    "unreachable": (3, {"net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2, "port_unreachable": 3,
                        "frag_needed": 4, "source_route_failed": 5, "net_unknown": 6, "host_unknown": 7,
                        "source_host_isolated": 8, "net_prohibited": 9, "host_prohibited": 10,
                        "net_unreachable_for_tos": 11, "host_unreachable_for_tos": 12, "packet_filtered": 13,
                        "pkt_filtered": 13, "precedence_violation": 14, "precedence_cutoff": 15}),
    "time_exceeded": (11, {"exc_ttl": 0, "exc_fragtime": 1, "ttl_exceeded_in_transit": 0, "frag_reass_exceeded": 1}),
    "parameter_problem": (12, {}),
    "source_quench": (4, {}),
    "redirect": (5, {"redir_net": 0, "redir_host": 1}),
    "echo_reply": (0, {}), "echo_request": (8, {}), "timestamp_request": (13, {}), "timestamp_reply": (14, {}),
    "information_request": (15, {}), "information_reply": (16, {}), "address_mask_request": (17, {}),
    "address_mask_reply": (18, {}),
}


def octet(offset):
    """The octet of every stream at `offset`, whoever sends it: no two near places look alike."""
    return (offset * 2654435761 >> 13) & 0xFF


PERIOD = 1 << 21
STREAM = bytes((i * 2654435761 >> 13) & 0xFF for i in range(1 << 16))


def text_at(offset, n):
    """Octets offset .. offset + n of the stream."""
    if 0 <= offset and offset + n <= len(STREAM):
        return STREAM[offset:offset + n]
    return bytes(octet(i) for i in range(offset, offset + n))


def checksum(data):
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(source, destination, protocol, n):
    return struct.pack("!IIBBH", source, destination, 0, protocol, n)


def encode_options(options):
    out = b""
    for name, *values in options:
        match name:
            case "nop":
                out += b"\x01"
            case "eol":
                out += b"\x00"
            case "mss":
                out += struct.pack("!BBH", 2, 4, *values)
            case "wscale":
                out += bytes((3, 3, *values))
            case "sackOK":
                out += b"\x04\x02"
            case "sack":
                out += bytes((5, 2 + 8 * len(values))) + b"".join(struct.pack("!II", *block) for block in values)
            case "uto":
                out += struct.pack("!BBH", 28, 4, *values)
            case "uto_min":
                out += struct.pack("!BBH", 28, 4, 0x8000 | values[0])
            case "TS":
                out += struct.pack("!BBII", 8, 10, *values)
    return out + bytes(-len(out) % 4)


def decode_options(data):
    """The tuples of script.tcp_options; what makes no sense is ("bad", octets)."""
    out = []
    i = 0
    while i < len(data):
        kind = data[i]
        if kind < 2:
            out.append(("eol",) if kind == 0 else ("nop",))
            i += 1
            continue
        length = data[i + 1] if i + 1 < len(data) else 0
        value = data[i + 2:i + length]
        if length < 2 or i + length > len(data):
            out.append(("bad", data[i:]))
            break
        if kind == 2 and length == 4:
            out.append(("mss", int.from_bytes(value, "big")))
        elif kind == 3 and length == 3:
            out.append(("wscale", value[0]))
        elif kind == 4 and length == 2:
            out.append(("sackOK",))
        elif kind == 5 and length % 8 == 2 and length > 2:
            out.append(("sack", *struct.iter_unpack("!II", value)))
        elif kind == 28 and length == 4:
            field = int.from_bytes(value, "big")
            out.append(("uto_min", field & 0x7FFF) if field >> 15 else ("uto", field))
        elif kind == 8 and length == 10:
            out.append(("TS", *struct.unpack("!II", value)))
        else:
            out.append(("bad", data[i:i + length]))
        i += length
    return out


def ipv4_header(n, protocol, source, destination, tos=0, ttl=64):
    header = struct.pack("!BBHHHBBHII", 0x45, tos, 20 + n, 0, 0x4000, ttl, protocol, 0, source, destination)
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]


def tcp_segment(sport, dport, seq, ack, flags, win, urg, options, text, source=REMOTE, destination=LOCAL):
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (20 + len(options)) // 4 << 4, flags, win, 0, urg)
    segment = header + options + text
    total = checksum(pseudo(source, destination, 6, len(segment)) + segment)
    return segment[:16] + total.to_bytes(2, "big") + segment[18:]


def tcp_frame(segment, tos=0, ttl=64):
    return LOCAL_MAC + REMOTE_MAC + b"\x08\x00" + ipv4_header(len(segment), 6, REMOTE, LOCAL, tos, ttl) + segment


def icmp_frame(kind, code, mtu, quoted, tos=0, ttl=64):
    """An ICMP error; `quoted` is the IPv4 header and the first 8 octets of what our stack is said to have sent."""
    message = struct.pack("!BBHHH", kind, code, 0, 0, mtu or 0) + quoted
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return LOCAL_MAC + REMOTE_MAC + b"\x08\x00" + ipv4_header(len(message), 1, REMOTE, LOCAL, tos, ttl) + message


class Malformed(Exception):
    """A frame of the stack that no stack should send."""


@dataclasses.dataclass
class Segment:
    """What the stack sent, and when."""
    at_ns: int
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    win: int
    urg: int
    options: list
    text: bytes
    tos: int
    ttl: int
    df: bool
    frame: bytes

    @property
    def letters(self):
        return "".join(letter for letter, bit in FLAG_BITS.items() if self.flags & bit)


def read_frame(frame, at_ns):
    """The Segment in a frame of ours; Malformed names whatever is wrong with it, checksums included."""
    if frame[:6] != REMOTE_MAC or frame[6:12] != LOCAL_MAC or frame[12:14] != b"\x08\x00":
        raise Malformed(f"Ethernet header {frame[:14].hex()}")
    ip = frame[14:]
    if len(ip) < 40 or ip[0] != 0x45 or int.from_bytes(ip[2:4], "big") != len(ip) or ip[9] != 6:
        raise Malformed(f"IPv4 header {ip[:20].hex()} before {len(ip) - 20} octets")
    if checksum(ip[:20]):
        raise Malformed(f"IPv4 checksum of {ip[:20].hex()}")
    source, destination = struct.unpack("!II", ip[12:20])
    if (source, destination) != (LOCAL, REMOTE):
        raise Malformed(f"addresses {source:#x} > {destination:#x}")
    segment = ip[20:]
    if checksum(pseudo(source, destination, 6, len(segment)) + segment):
        raise Malformed(f"TCP checksum of {segment[:60].hex()}")
    hlen = (segment[12] >> 4) * 4
    if not 20 <= hlen <= len(segment) or segment[12] & 15:
        raise Malformed(f"data offset of {segment[:20].hex()}")
    sport, dport, seq, ack = struct.unpack("!HHII", segment[:12])
    win, _, urg = struct.unpack("!HHH", segment[14:20])
    return Segment(at_ns, sport, dport, seq, ack, segment[13], win, urg, decode_options(segment[20:hlen]),
                   segment[hlen:], ip[1], ip[8], bool(ip[6] & 0x40), frame)
