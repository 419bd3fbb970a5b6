"""The shell commands of borrowed scripts, of which none is executed: what each would have changed, in our options.

A sysctl is one of three: it has an equivalent here; it cannot change what a script sees of this stack with the value given;
or the script is unsupported, and the sysctl is named.
"""
from __future__ import annotations

import re

from .script import Unsupported

S, MS = 1_000_000_000, 1_000_000
MOST_BUFFER = 1 << 20               # octets of buffer the player has memory for


def most(value):
    """The third of "4096 131072 6291456": how far the system would let a buffer grow."""
    numbers = re.findall(r"\d+", value.replace("*", " "))
    return MOST_BUFFER if not numbers or "$" in value else min(MOST_BUFFER, int(numbers[-1]))


def milliseconds(value):
    return int(value) * MS


def flag(value):
    return int(int(value) != 0)


EQUIVALENT = {                      # sysctl: (option, its value)
    "net.ipv4.tcp_timestamps": ("timestamps", flag), "net.ipv4.tcp_sack": ("sack", flag),
    "net.ipv4.tcp_window_scaling": ("window_scale", flag), "net.ipv4.tcp_syncookies": ("syn_cookies", flag),
    "net.ipv4.tcp_early_retrans": ("tail_probe", lambda v: int(int(v) >= 3)),
    "net.ipv4.tcp_rto_min_us": ("rto_min_ns", lambda v: int(v) * 1000),
    "net.ipv4.tcp_rto_max_ms": ("rto_max_ns", milliseconds), "net.ipv4.ip_default_ttl": ("ttl", int),
    "net.ipv4.tcp_rmem": ("rcv_buf", most),
    "net.inet.tcp.rfc1323": ("rfc1323", flag), "net.inet.tcp.sack.enable": ("sack", flag),
    "net.inet.tcp.syncookies": ("syn_cookies", flag), "net.inet.tcp.rexmit_initial": ("rto_initial_ns", milliseconds),
    "net.inet.tcp.rexmit_min": ("rto_min_ns", milliseconds), "net.inet.tcp.initcwnd_segments": ("initial_window", int),
    "net.inet.tcp.keepidle": ("keep_idle_ns", milliseconds), "net.inet.tcp.keepintvl": ("keep_interval_ns", milliseconds),
    "net.inet.tcp.keepcnt": ("keep_count", int), "net.inet.tcp.keepinit": ("syn_timeout_ns", milliseconds),
    "net.inet.ip.ttl": ("ttl", int),
}
ANY = object()
WITHOUT_EFFECT = {                  # sysctl: the values with which it changes nothing a script sees here
    "net.ipv4.tcp_dsack": ("1",), "net.ipv4.tcp_fack": ANY, "net.ipv4.tcp_reordering": ("3",), "net.ipv4.tcp_frto": ANY,
    "net.ipv4.tcp_recovery": ("1",), "net.ipv4.tcp_syn_retries": ANY, "net.ipv4.tcp_synack_retries": ANY,
    "net.ipv4.tcp_slow_start_after_idle": ("0",), "net.ipv4.tcp_tso_win_divisor": ANY, "net.ipv4.tcp_min_tso_segs": ANY,
    "net.ipv4.tcp_limit_output_bytes": ANY,     # how much one frame to the driver holds: ours hold a segment each
    "net.ipv4.tcp_pacing_ss_ratio": ANY, "net.ipv4.tcp_pacing_ca_ratio": ANY,   # without the fq qdisc Linux does not pace
    "net.ipv4.tcp_notsent_lowat": ("4294967295", "-1"), "net.ipv4.tcp_fastopen": ANY,   # an FO option is refused by name
    "net.ipv4.tcp_fastopen_key": ANY, "net.ipv4.tcp_fastopen_blackhole_timeout_sec": ANY, "net.core.optmem_max": ANY,
    "net.ipv4.tcp_moderate_rcvbuf": ANY, "net.ipv4.tcp_no_metrics_save": ANY, "net.ipv4.tcp_autocorking": ("0",),
    "net.ipv4.tcp_mtu_probing": ("0",), "net.ipv4.tcp_shrink_window": ("0",), "net.ipv4.tcp_rfc1337": ANY,
    "net.core.somaxconn": ANY, "net.core.rmem_max": ANY, "net.core.wmem_max": ANY, "net.ipv4.tcp_invalid_ratelimit": ANY,
    "net.ipv4.tcp_comp_sack_nr": ("0",), "net.ipv4.tcp_backlog_ack_defer": ANY, "net.ipv4.tcp_challenge_ack_limit": ANY,
    "net.ipv4.tcp_wmem": (),                    # who sets it asks how Linux counts its memory
    "net.ipv4.tcp_tw_reuse": ("0",), "net.ipv4.tcp_adv_win_scale": ANY, "net.ipv4.tcp_fwmark_accept": ANY,
    "net.ipv4.tcp_abort_on_overflow": ("0",), "net.ipv4.tcp_app_win": ANY,
    "kern.ipc.maxsockbuf": ANY, "net.inet.tcp.hostcache.purgenow": ANY, "net.inet.tcp.hostcache.purge": ANY,
    "net.inet.tcp.hostcache.enable": ANY, "net.inet.tcp.recvspace": ("65536",), "net.inet.tcp.sendspace": ANY,
    "net.inet.tcp.insecure_rst": ("0",), "net.inet.tcp.insecure_syn": ("0",), "net.inet.tcp.insecure_ack": ("0",),
    "net.inet.tcp.icmp_may_rst": ("1",), "net.inet.tcp.drop_synfin": ("0",), "net.inet.tcp.rexmit_drop_options": ("0",),
    "net.inet.tcp.rexmit_slop": ANY, "net.inet.tcp.blackhole": ("0",), "net.inet.tcp.ecn.plusplus": ("0",),
    "net.inet.tcp.ecn.generalized": ("0",), "net.inet.tcp.ecn.maxretries": ANY, "net.inet.tcp.delayed_ack": ("1",),
    "net.inet.tcp.delacktime": ANY, "net.inet.tcp.msl": ANY, "net.inet.tcp.finwait2_timeout": ANY,
    "net.inet.tcp.fast_finwait2_recycle": ("0",), "net.inet.tcp.functions_default": ("freebsd",),
    "net.inet.tcp.path_mtu_discovery": ("1",), "net.inet.tcp.pmtud_blackhole_detection": ("0",), "net.inet.tcp.tso": ANY,
    "net.inet.tcp.recvbuf_auto": ANY, "net.inet.tcp.sendbuf_auto": ANY, "net.inet.tcp.recvbuf_max": ANY,
    "net.inet.tcp.sendbuf_max": ANY, "net.inet.tcp.tolerate_missing_ts": ("1",), "net.inet.tcp.ts_offset_per_conn": ANY,
    "net.inet.tcp.log_in_vain": ANY, "net.inet.tcp.syncookies_only": ("0",), "net.inet.tcp.always_keepalive": ("0",),
    "net.inet.tcp.nolocaltimewait": ANY, "net.inet.tcp.minmss": ANY, "net.inet.tcp.cc.abe": ("0",),
    "net.inet.tcp.rfc3042": ("1",), "net.inet.tcp.rfc3390": ANY, "net.inet.tcp.rfc6675_pipe": ANY,
    "net.inet.icmp.icmplim": ANY,
    "net.inet.tcp.fastopen.server_enable": ("0",), "net.inet.tcp.fastopen.client_enable": ("0",),
}
CONGESTION = {"reno": "newreno", "newreno": "newreno", "cubic": "newreno", "dctcp": "dctcp"}
PASSED_OVER = ("ethtool", "kldload", "kldunload", "modprobe", "true", "echo", "sync", "rm", "dd", "touch", "mkdir", "set")
SOCKSTAT = re.compile(r"sockstat\b.*grep -c (\w+) *\| *grep (\d+)")
STATES = {"SYN_RCVD": "SYN-RECEIVED", "SYN_RECV": "SYN-RECEIVED", "ESTAB": "ESTABLISHED"}


def split(text):
    """The single commands of a script's backticks; comments and what goes to /dev/null are gone."""
    text = re.sub(r"\\\s*\n", " ", text)
    text = re.sub(r"(^|\s)#[^\n]*", r"\1", text)
    text = re.sub(r"\s*\d?>+\s*(&\d|\S+)", "", text)
    for part in re.split(r"\n|;|&&", text):
        if part.strip():
            yield part.strip()


def assignments(command):
    """(name, value) of the sysctls one command sets, or None if it is another kind of command."""
    words = re.findall(r"""(?:"[^"]*"|'[^']*'|\$\(\([^)]*\)\)|[^\s"'])+""", command.replace(" = ", "="))
    program = words[0].rpartition("/")[2] if words else ""
    if program not in ("sysctl", "set_sysctls.py"):
        return None
    return [(name.removeprefix("/proc/sys/").replace("/", "."), value.strip("\"'"))
            for name, found, value in (word.partition("=") for word in words[1:]) if found]


def sysctl(line, name, value, options):
    """Writes the equivalent into `options`; Unsupported where there is none."""
    try:
        if name in ("net.ipv4.tcp_ecn", "net.inet.tcp.ecn.enable"):
            if int(value) > 2:
                raise Unsupported(line, f"sysctl {name}={value}: AccECN")
            options["ecn"] = {0: "no", 1: "ask", 2: "answer"}[int(value)]
            return
        if name in ("net.ipv4.tcp_congestion_control", "net.inet.tcp.cc.algorithm") and value in CONGESTION:
            options["congestion"] = CONGESTION[value]
            return
        if name in EQUIVALENT:
            option, convert = EQUIVALENT[name]
            if option == "rfc1323":
                options["timestamps"] = options["window_scale"] = convert(value)
            else:
                options[option] = convert(value)
            return
    except ValueError:
        raise Unsupported(line, f"sysctl {name}={value}") from None
    values = WITHOUT_EFFECT.get(name, ())
    if values is not ANY and value not in values:
        raise Unsupported(line, f"sysctl {name}={value}")


def run(line, text, options, count_state):
    """What the commands in `text` would have done: sysctls go into `options`; count_state(name) serves `sockstat | grep`.

    Gives the nanoseconds to sleep. AssertionError: a command would have failed. Unsupported: not one of ours.
    """
    wait = 0
    if found := SOCKSTAT.search(text):
        state = STATES.get(found[1], found[1].replace("_", "-"))
        if count_state(state) != int(found[2]):
            raise AssertionError(f"{count_state(state)} connections are in {state}, not {found[2]}")
        return wait
    for command in split(text):
        words = command.split()
        program = words[0].rpartition("/")[2]
        if (found := assignments(command)) is not None:
            for name, value in found:
                sysctl(line, name, value, options)
        elif program == "sleep":
            wait += int(float(words[1]) * S)
        elif not (program in PASSED_OVER or (program.startswith("defaults") and program.endswith(".sh"))
                  or program.startswith("sysctl_restore_") or command.startswith("ip tcp_metrics flush")
                  or command == "nstat -n" or words[:2] == ["tcpdrop", "-s"]):
            raise Unsupported(line, f"command {command!r}")
    return wait
