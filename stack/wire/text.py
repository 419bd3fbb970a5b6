"""One line per frame, in packetdrill's notation, for logs and test failures; and IPv4 addresses as text.

`frame_text(frame, time_ns)` gives `+0.000020 < S 1000:1000(0) win 65535 <mss 1460,sackOK>`. Nothing here is on a hot
path, and any octets give a line: what cannot be parsed is named and shown in hex.
"""
from __future__ import annotations

ETHERTYPES = {0x0800: "ipv4", 0x0806: "arp", 0x86DD: "ipv6", 0x88CC: "lldp"}
PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp"}
# packetdrill's letters, in its order; TCP_AE (RFC 9768) is not one of them
FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x10, "."), (0x20, "U"), (0x40, "E"), (0x80, "W"),
         (0x100, "A"))
ECN = ("noecn", "ect1", "ect0", "ce")
ICMP_NAMES = {0: "echo_reply", 3: "unreachable", 5: "redirect", 8: "echo_request", 11: "time_exceeded"}
UNREACHABLE_CODES = ("net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed")


def parse_ipv4(text: str) -> int:
    """The address in host order; ValueError names what is wrong."""
    parts = text.split(".")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) <= 255 for p in parts):
        raise ValueError(f"IPv4 address {text!r} must be four numbers 0..255 with dots between")
    a, b, c, d = map(int, parts)
    return a << 24 | b << 16 | c << 8 | d


def format_ipv4(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def parse_address(text: str) -> tuple[int, int]:
    """("10.0.0.2/24") -> (address, 24); without a length, 32."""
    address, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit() and int(length) <= 32):
        raise ValueError(f"address {text!r}: the prefix length must be 0 to 32")
    return parse_ipv4(address), int(length) if slash else 32


def time_text(seconds_from_ns: int) -> str:
    """+seconds with as many digits as it needs, at least one."""
    whole, rest = divmod(seconds_from_ns, 1_000_000_000)
    return f"+{whole}.{rest:09d}".rstrip("0").rstrip(".")


def flags_text(flags: int) -> str:
    return "".join(letter for bit, letter in FLAGS if flags & bit) or "-"


def tcp_options_text(options: bytes) -> str:
    """`mss 1460,nop,wscale 7,sackOK,TS val 1 ecr 0`; what does not fit its length is `bad` with the rest in hex."""
    out = []
    i = 0
    while i < len(options):
        kind = options[i]
        if kind == 0:
            out.append("eol")
            i += 1
            continue
        if kind == 1:
            out.append("nop")
            i += 1
            continue
        length = options[i + 1] if i + 1 < len(options) else 0
        value = options[i + 2:i + length]
        if length < 2 or i + length > len(options):
            out.append(f"bad {options[i:].hex()}")
            break
        if kind == 2 and length == 4:
            out.append(f"mss {int.from_bytes(value, 'big')}")
        elif kind == 3 and length == 3:
            out.append(f"wscale {value[0]}")
        elif kind == 4 and length == 2:
            out.append("sackOK")
        elif kind == 5 and length >= 10 and len(value) % 8 == 0:
            edges = [int.from_bytes(value[k:k + 4], "big") for k in range(0, len(value), 4)]
            out.append("sack " + " ".join(f"{a}:{b}" for a, b in zip(edges[::2], edges[1::2], strict=True)))
        elif kind == 28 and length == 4:
            field = int.from_bytes(value, "big")
            out.append(f"uto_min {field & 0x7FFF}" if field >> 15 else f"uto {field}")
        elif kind == 8 and length == 10:
            out.append(f"TS val {int.from_bytes(value[:4], 'big')} ecr {int.from_bytes(value[4:], 'big')}")
        else:
            out.append(f"kind {kind} {value.hex()}".rstrip())
        i += length
    return ",".join(out)


def tcp_text(segment: bytes, seq0: int = 0, ack0: int = 0) -> str:
    """Flags, sequence range, ack, window and options of one segment; `seq0`, `ack0` are subtracted (the ISNs)."""
    if len(segment) < 20 or not 20 <= (segment[12] >> 4) * 4 <= len(segment):
        return f"tcp malformed {segment[:60].hex()}"
    hlen = (segment[12] >> 4) * 4
    flags = int.from_bytes(segment[12:14], "big") & 0x1FF
    seq = (int.from_bytes(segment[4:8], "big") - seq0) & 0xFFFFFFFF
    n = len(segment) - hlen
    line = f"{flags_text(flags)} {seq}:{(seq + n) & 0xFFFFFFFF}({n})"
    if flags & 0x10:
        line += f" ack {(int.from_bytes(segment[8:12], 'big') - ack0) & 0xFFFFFFFF}"
    line += f" win {int.from_bytes(segment[14:16], 'big')}"
    if flags & 0x20:
        line += f" urg {int.from_bytes(segment[18:20], 'big')}"
    options = tcp_options_text(segment[20:hlen])
    return f"{line} <{options}>" if options else line


def ipv4_text(packet: bytes, seq0: int = 0, ack0: int = 0, ports: bool = False) -> str:
    """One IPv4 packet. Marks other than `noecn` and a fragment are said; with `ports` both ends are."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return f"ipv4 malformed {packet[:60].hex()}"
    hlen = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    if not 20 <= hlen <= total <= len(packet):
        return f"ipv4 malformed {packet[:60].hex()}"
    payload = packet[hlen:total]
    source, destination = (format_ipv4(int.from_bytes(packet[i:i + 4], "big")) for i in (12, 16))
    fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    protocol = packet[9]
    words = []
    if packet[1] & 3:
        words.append(f"[{ECN[packet[1] & 3]}]")
    if fragment:
        words.append(f"{source} > {destination} fragment {PROTOCOLS.get(protocol, protocol)} id "
                     f"{int.from_bytes(packet[4:6], 'big')} at {(fragment & 0x1FFF) * 8} {len(payload)} octets"
                     f"{' more' if fragment & 0x2000 else ''}")
    elif protocol == 6:
        if ports and len(payload) >= 4:
            words.append(f"{source}:{int.from_bytes(payload[:2], 'big')} > "
                         f"{destination}:{int.from_bytes(payload[2:4], 'big')}")
        words.append(tcp_text(payload, seq0, ack0))
    elif protocol == 17 and len(payload) >= 8:
        words.append(f"{source}:{int.from_bytes(payload[:2], 'big')} > "
                     f"{destination}:{int.from_bytes(payload[2:4], 'big')} udp ({len(payload) - 8})")
    elif protocol == 1 and len(payload) >= 8:
        words.append(f"{source} > {destination} {icmp_text(payload)}")
    else:
        words.append(f"{source} > {destination} {PROTOCOLS.get(protocol, f'protocol {protocol}')} ({len(payload)})")
    return " ".join(words)


def icmp_text(message: bytes) -> str:
    kind, code = message[0], message[1]
    if kind in (0, 8):
        return (f"icmp {ICMP_NAMES[kind]} id {int.from_bytes(message[4:6], 'big')} seq "
                f"{int.from_bytes(message[6:8], 'big')} ({len(message) - 8})")
    if kind == 3 and code < len(UNREACHABLE_CODES):
        mtu = f" mtu {int.from_bytes(message[6:8], 'big')}" if code == 4 else ""
        return f"icmp unreachable {UNREACHABLE_CODES[code]}{mtu} [{ipv4_quoted_text(message[8:])}]"
    return f"icmp {ICMP_NAMES.get(kind, f'type {kind}')} code {code} ({len(message) - 8})"


def ipv4_quoted_text(packet: bytes) -> str:
    """What an ICMP error quotes: a header and at least 8 octets, of TCP the ports and the sequence number."""
    hlen = (packet[0] & 15) * 4 if packet else 0
    if hlen < 20 or len(packet) < hlen + 8:
        return "cut off"
    rest = packet[hlen:]
    if packet[9] != 6:
        return f"{PROTOCOLS.get(packet[9], f'protocol {packet[9]}')}"
    return (f"tcp {int.from_bytes(rest[:2], 'big')} > {int.from_bytes(rest[2:4], 'big')} "
            f"seq {int.from_bytes(rest[4:8], 'big')}")


def arp_text(packet: bytes) -> str:
    if len(packet) < 28 or packet[:6] != bytes.fromhex("000108000604"):
        return f"arp malformed {packet[:28].hex()}"
    op = int.from_bytes(packet[6:8], "big")
    sha, tha = packet[8:14].hex(":"), packet[18:24].hex(":")
    spa, tpa = (format_ipv4(int.from_bytes(packet[i:i + 4], "big")) for i in (14, 24))
    if op == 1:
        return f"arp who-has {tpa} tell {spa} ({sha})"
    if op == 2:
        return f"arp {spa} is-at {sha} for {tpa} ({tha})"
    return f"arp op {op} {spa} ({sha}) > {tpa} ({tha})"


def frame_text(frame: bytes, time_ns: int = 0, direction: str = "<", seq0: int = 0, ack0: int = 0,
               ports: bool = False) -> str:
    """The line for one Ethernet frame: `<` is towards us, `>` from us; `time_ns` since whatever came before.

    `seq0` and `ack0` are subtracted from the numbers of TCP, so that both ISNs read 0.
    """
    head = f"{time_text(time_ns)} {direction} "
    if len(frame) < 14:
        return f"{head}short {frame.hex()}"
    ethertype = int.from_bytes(frame[12:14], "big")
    payload, tag = frame[14:], ""
    if ethertype == 0x8100 and len(frame) >= 18:
        tag = f"vlan {int.from_bytes(frame[14:16], 'big') & 0xFFF} "
        ethertype, payload = int.from_bytes(frame[16:18], "big"), frame[18:]
    if ethertype == 0x0800:
        return head + tag + ipv4_text(payload, seq0, ack0, ports)
    if ethertype == 0x0806:
        return head + tag + arp_text(payload)
    return f"{head}{tag}{ETHERTYPES.get(ethertype, f'ethertype {ethertype:#06x}')} ({len(payload)})"
