"""The namespace harness itself: frames cross, nothing else does, nothing stays behind."""
import os
import socket

import netns
import pytest

pytestmark = pytest.mark.netns


def reflect(ifname, count):
    """Answer `count` frames of EtherType 0x88b5 (RFC 9542: local experiments) with their octets reversed."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    s.bind((ifname, 0))
    print("bound", flush=True)
    for _ in range(count):
        frame = s.recv(2000)
        s.send(frame[6:12] + frame[:6] + frame[12:14] + frame[:13:-1])
    return count


def ask(ifname, to, text):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    s.bind((ifname, 0))
    s.settimeout(10)
    s.send(bytes.fromhex(to.replace(":", "")) + s.getsockname()[4] + b"\x88\xb5" + text.encode())
    return s.recv(2000)[14:14 + len(text)].decode()


def addresses(ifname):
    with open(f"/sys/class/net/{ifname}/address") as f:
        return [f.read().strip(), sorted(os.listdir("/sys/class/net"))]


def broken():
    raise ValueError("said here")


def processes_with(text):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if text.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


def test_a_frame_crosses_and_comes_back(link):
    mirror = link.peer.start_call(reflect, "peer0", 1, ready="bound")
    assert link.us.call(ask, "us0", link.peer.mac, "abc") == "cba"
    assert netns.result_of(mirror) == 1


def test_each_end_sees_only_its_own_interface(link):
    assert link.us.call(addresses, "us0") == [netns.US_MAC, ["lo", "us0"]]
    assert link.peer.call(addresses, "peer0") == [netns.PEER_MAC, ["lo", "peer0"]]
    assert "inet" not in link.us.run(["ip", "addr", "show", "us0"]).stdout
    assert f"{netns.PEER_IP}/24" in link.peer.run(["ip", "addr", "show", "peer0"]).stdout


def test_offloads_can_be_switched(link):
    def state():
        text = link.peer.run(["ethtool", "-k", "peer0"]).stdout
        return [line.split()[1] for line in text.splitlines() if line.startswith("tcp-segmentation-offload")]
    link.set_offloads(True)
    assert state() == ["on"]
    link.set_offloads(False)
    assert state() == ["off"]


def test_a_failure_inside_is_reported_with_its_traceback(link):
    with pytest.raises(netns.ProcessFailed, match="ValueError: said here"):
        link.us.call(broken)
    with pytest.raises(netns.ProcessFailed, match="still running after 0.3 s"):
        link.us.run(["tail", "-f", "/dev/null"], timeout=0.3)


def test_nothing_stays_behind():
    with netns.Link() as link:
        holder = link.us.pid
        mark = f"harness-test-{os.getpid()}"
        link.peer.start(["sh", "-c", "echo up; read x", mark], ready="up")
        assert processes_with(mark)
    assert not processes_with(mark)
    assert not os.path.exists(f"/proc/{holder}")
