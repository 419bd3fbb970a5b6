"""Messages made wrong in many ways, seeded: half of them with BodyLength and CheckSum put right again afterwards."""
import collections
import random
import re

TAGS = [1, 11, 34, 35, 38, 44, 49, 52, 54, 55, 56, 58, 60, 90, 91, 93, 89, 95, 96, 212, 213, 354, 355, 1184, 1185, 1023,
        1024, 1119, 9999, 10000, 40004, 40005, 65626, 131167, 2147483647, 2147483648, 0, 95]


KINDS = ("octet replaced", "bit flipped", "octets put in", "octets taken out", "octets doubled", "field replaced")
# what else is done to a message
ENDINGS = ("repaired", "cut short", "more behind", "of the corpus")


def framed(body, begin=b"FIX.4.4"):
    text = b"8=%s\x019=%d\x01" % (begin, len(body)) + body
    return text + b"10=%03d\x01" % (sum(text) % 256)


def octets(rng, n):
    return bytes(rng.choice(b"\x01\x01==0123456789AZaz .\xff\x00|8FIX") for _ in range(n))


def message(rng):
    """A message of random fields, data fields among them."""
    body = [b"35=" + rng.choice([b"D", b"8", b"AE", b"0", b"U1234567", b"LONGMSGTYPE"])]
    for _ in range(rng.choice([0, 1, 3, 6, 7, 8, 9, 15, 17, 40, 200]) + rng.randrange(4)):
        tag = rng.choice(TAGS) if rng.random() < 0.6 else rng.randrange(1, 1500)
        value = octets(rng, rng.choice([0, 1, 1, 2, 3, 5, 8, 20, 70])).replace(b"\x01", b"=")
        if tag in (90, 95, 212, 354, 1184, 40004) and rng.random() < 0.8:
            data = octets(rng, rng.choice([0, 1, 5, 30, 64, 130]))
            body += [b"%d=%d" % (tag, len(data)), b"%d=" % (tag + 1) + data]
        else:
            body.append(b"%d=" % tag + value)
    return framed(b"\x01".join(body) + b"\x01", rng.choice([b"FIX.4.4", b"FIX.4.4", b"FIX.4.2", b"FIXT.1.1"]))


def mutate(rng, data, done):
    """Up to five mutations; each that changed something is counted in `done` under its name."""
    data = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randrange(len(data)) if data else 0
        kind, before = rng.randrange(6), bytes(data)
        if kind == 0 and data:
            data[at] = rng.choice(b"\x01=0123456789-.A8\x00\xff")
        elif kind == 1 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at:at] = octets(rng, rng.randrange(1, 9))
        elif kind == 3:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 4:
            data[at:at] = data[at:at + rng.randrange(70)]
        else:
            end = data.find(b"\x01", at)
            data[at:end if end >= 0 else len(data)] = b"%d" % rng.choice(TAGS)
        done[KINDS[kind]] += data != before
    return bytes(data)


def repair(data):
    """The same body with right BodyLength and CheckSum, if a body can be made out."""
    found = re.match(rb"(8=.*?\x01)?(?:9=.*?\x01)?(.*?)(?:10=[^\x01]*\x01?)?\Z", data, re.S)
    body = found.group(2)
    if not body.endswith(b"\x01"):
        body += b"\x01"
    if not re.match(rb"35=[^\x01]", body, re.S):
        body = b"35=D\x01" + body
    return framed(body)


def mutations(seed, count, corpus=(), done=None):
    """`count` octet strings; a third from `corpus`, half of all repaired, some cut short or with more behind.

    `done`, a Counter, learns how often each of KINDS and ENDINGS was done, and how many were repaired after a mutation.
    """
    rng = random.Random(seed)
    done = collections.Counter() if done is None else done
    for _ in range(count):
        mine = corpus and rng.random() < 0.35
        done["of the corpus"] += bool(mine)
        before = rng.choice(corpus) if mine else message(rng)
        data = mutate(rng, before, done)
        if rng.random() < 0.6:
            done["repaired"] += 1
            done["repaired after a mutation"] += data != before
            data = repair(data)
        elif rng.random() < 0.1:
            data = data[:rng.randrange(len(data) + 1)]
            done["cut short"] += 1
        if rng.random() < 0.1:
            data += octets(rng, rng.randrange(30))
            done["more behind"] += 1
        yield data
