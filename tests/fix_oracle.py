"""A FIX parser in plain Python, straight from the standard, for comparison. Shares no code with `fix`.

`parse(data)` gives what fix.parse.verdict gives: (verdict, octets, why, fields).
"""
import re

COMPLETE, PARTIAL, GARBLED = 0, 1, 2
HEAD = re.compile(rb"8=FIXT?\.\d\.\d\x019=(\d{1,7})\x01")
BEGIN = b"8=FIX"
# Length field -> data field, FIX 4.0 to 5.0 SP2
DATA = {int(a): int(b) for a, b in re.findall(r"(\d+):(\d+)", """
    90:91 93:89 95:96 212:213 348:349 350:351 352:353 354:355 356:357 358:359 360:361 362:363 364:365 445:446 618:619
    621:622 1184:1185 1277:1278 1280:1281 1282:1283 1397:1398 1401:1402 1403:1404 1468:1469 1525:1527 1578:1579 1620:1621
    1664:1665 1678:1697 1733:1734 1871:1872 1874:1875 2072:2073 2074:2075 2111:2112 2179:2180 2287:2288 2351:2352
    2372:2371 2481:2482 2494:2493 2522:2521 2637:2638 2651:2652 2665:2666 2715:2716 2718:2719 2721:2722 2797:2798
    2802:2801 2809:2808 2815:2814 40004:40005 40008:40009 40978:40979 40980:40981 40982:40983 40984:40985 40986:40987
    40988:40989 41083:41084 41101:41102 41107:41108 41256:41257 41320:41321 41324:41325 41458:41459 41476:41477
    41482:41483 41653:41654 41710:41711 41806:41807 41811:41812 41873:41874 41969:41970 42025:42026 42171:42172
    42451:42452 42652:42653 42947:42948 43109:42684 43110:42486 43111:42982""")}


def next_begin(data):
    """Octets to drop: up to the next 8=FIX that is not at the start, or a tail that may become one."""
    at = data.find(BEGIN, 1)
    if at >= 0:
        return at
    for k in (4, 3, 2, 1):
        if len(data) > k and data.endswith(BEGIN[:k]):
            return len(data) - k
    return len(data)


def garbled(data, why):
    return GARBLED, next_begin(data), why, []


def head_fault(data):
    """What is already wrong with octets that are not a whole head, or None."""
    if not BEGIN.startswith(data[:5]):
        return 1
    begin = re.match(rb"8=FIXT?\.\d\.\d\x01", data)
    if not begin:
        for shape in (b"8=FIX.n.n|", b"8=FIXT.n.n|"):
            got = re.sub(rb"(?<=\.)\d", b"n", data[:len(shape)]).replace(b"\x01", b"|")
            if b"|n" not in got and shape.startswith(got) and len(data) < len(shape):
                return None
        return 2
    rest = data[begin.end():]
    if len(rest) < 2:
        return None if b"9=".startswith(rest) else 3
    return None if re.fullmatch(rb"9=(\d{0,7}|\d{1,7}\x01.*)", rest, re.S) else 3


def parse(data, max_size=65535):
    data = bytes(data)
    head = HEAD.match(data)
    if not head:
        why = head_fault(data)
        if why is None and len(data) >= 26:
            why = 3
        return garbled(data, why) if why else (PARTIAL, 26, None, [])
    if len(data) < 26:
        return PARTIAL, 26, None, []
    body, length = head.end(), int(head.group(1))
    end = body + length
    if length < 5:
        return garbled(data, 3)
    if end + 7 > min(max_size, 65535):
        return garbled(data, 4)
    if len(data) >= body + 4 and not re.match(rb"35=[^\x01]", data[body:body + 4], re.S):
        return garbled(data, 5)
    if len(data) < end + 7:
        return PARTIAL, end + 7, None, []
    if data[end - 1:end] != b"\x01" or not re.fullmatch(rb"10=\d\d\d\x01", data[end:end + 7]):
        return garbled(data, 6)
    if sum(data[:end]) % 256 != int(data[end + 3:end + 6]):
        return garbled(data, 7)
    fields = [(8, 2, data.index(b"\x01") - 2), (9, head.start(1), len(head.group(1)))]
    why = None
    at, announced = body, None
    while at < end:
        stop = data.index(b"\x01", at)
        equals = data.find(b"=", at, stop)
        name = data[at:equals] if equals >= 0 else b""
        tag = int(name) if re.fullmatch(rb"[1-9]\d{0,9}", name) and int(name) < 2**31 else 0
        value = equals + 1 if equals >= 0 else at
        if not tag:
            why = why or (2 if equals >= 0 else 1, len(fields), 0)
        if announced and announced[0] == tag:
            wanted = value + announced[1]
            if wanted < end and data[wanted:wanted + 1] == b"\x01":
                stop = wanted
            else:
                why = why or (3, len(fields), tag)
        fields.append((tag, value, stop - value))
        text = data[value:stop]
        announced = (DATA[tag], int(text)) if tag in DATA and re.fullmatch(rb"\d+", text) and int(text) < 65536 else None
        at = stop + 1
    fields.append((10, end + 3, 3))
    return COMPLETE, end + 7, why, fields
