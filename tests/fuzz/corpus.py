"""The committed corpora: one file a target, tests/fuzz/corpus/TARGET.bin, inputs behind one another.

Each input is two octets of length, big endian, and so many octets; the file is their concatenation, compressed by zlib.
"""
import pathlib
import zlib

# Each with the rooms whose modules it needs
TARGETS = {"frames": "dpdk_py stack", "options": "dpdk_py stack", "reassembly": "dpdk_py stack", "parse": "fix",
           "session": "fix", "capture": "dpdk_py", "ipc": "ipc"}
FOLDER = pathlib.Path(__file__).parent / "corpus"
LONGEST = 4096              # octets of an input


def load(target):
    """The inputs of a target's corpus, none if there is none."""
    path = FOLDER / f"{target}.bin"
    data = zlib.decompress(path.read_bytes()) if path.exists() else b""
    inputs, at = [], 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 2], "big")
        inputs.append(data[at + 2:at + 2 + n])
        at += 2 + n
    return inputs


def save(target, inputs):
    FOLDER.mkdir(exist_ok=True)
    packed = b"".join(len(x).to_bytes(2, "big") + x for x in sorted(set(inputs), key=lambda x: (len(x), x)))
    (FOLDER / f"{target}.bin").write_bytes(zlib.compress(packed, 9))
