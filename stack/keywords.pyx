"""TCP options as keywords of Stack, connect and listen: their names, and what values they may have."""
from stack.verdicts import ACK_POLICIES, CONGESTION

from .tcb cimport tcp_options

MS = 1_000_000
# option: (least, most); what they mean is in tcb.pxd
LIMITS = {
    "rcv_buf": (536, 1 << 28), "snd_buf": (1024, 1 << 28), "mss": (0, 65495), "ack_delay_ns": (0, 500 * MS - 1),
    "rto_min_ns": (MS, 60_000 * MS), "rto_max_ns": (MS, 240_000 * MS), "rto_initial_ns": (MS, 60_000 * MS),
    "max_ack_delay_ns": (0, 500 * MS), "keep_idle_ns": (0, 1 << 62), "keep_interval_ns": (MS, 1 << 62),
    "keep_count": (1, 255), "initial_window": (1, 1000), "user_timeout_ns": (0, 1 << 62), "syn_timeout_ns": (0, 1 << 62),
    "time_wait_ns": (0, 1 << 62), "fin_wait_2_ns": (0, 1 << 62), "backlog": (0, 1 << 20), "ttl": (1, 255), "tos": (0, 252),
    "adv_uto_ns": (0, 32767 * 60_000 * MS), "uto_l_limit_ns": (0, 1 << 62), "uto_u_limit_ns": (0, 1 << 62),
    "uto_enabled": (0, 1), "uto_changeable": (0, 1),
    "slow_start_limit": (1, 1000), "tail_probe": (0, 1), "rto_variance_ns": (0, 60_000 * MS),
    "window_scale": (0, 1), "sack": (0, 1), "timestamps": (0, 1), "ecn": (0, 1), "syn_cookies": (0, 1),
}


cdef int take_options(tcp_options *o, dict given) except -1:
    """Fill `o` from keywords; TypeError for a name there is none of, ValueError for a value out of range."""
    for name, value in given.items():
        if name == "ack":
            if value not in ACK_POLICIES:
                raise ValueError(f"ack is {value!r}, must be one of {', '.join(ACK_POLICIES)}")
            o.ack_policy = ACK_POLICIES.index(value)
            continue
        if name == "congestion":
            if value not in CONGESTION:
                raise ValueError(f"congestion is {value!r}, must be one of {', '.join(CONGESTION)}")
            o.congestion = CONGESTION.index(value)
            continue
        if name not in LIMITS:
            import difflib
            near = difflib.get_close_matches(name, [*LIMITS, "ack", "congestion"], 1)
            raise TypeError(f"unknown option {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        least, most = LIMITS[name]
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}, must be {least} to {most}")
        put_option(o, name, value)
    if o.rto_min_ns > o.rto_max_ns:
        raise ValueError(f"rto_min_ns is {o.rto_min_ns}, more than rto_max_ns, {o.rto_max_ns}")
    if o.uto_l_limit_ns > o.uto_u_limit_ns:
        raise ValueError(f"uto_l_limit_ns is {o.uto_l_limit_ns}, more than uto_u_limit_ns, {o.uto_u_limit_ns}")
    if "user_timeout_ns" in given and "uto_changeable" not in given:
        o.uto_changeable = False                    # RFC 5482 section 3.1: who asks for a timeout gets it
    return 0


cdef int put_option(tcp_options *o, str name, value) except -1:
    if name == "rcv_buf": o.rcv_buf = value
    elif name == "snd_buf": o.snd_buf = value
    elif name == "mss": o.mss = value
    elif name == "ack_delay_ns": o.ack_delay_ns = value
    elif name == "rto_min_ns": o.rto_min_ns = value
    elif name == "rto_max_ns": o.rto_max_ns = value
    elif name == "rto_initial_ns": o.rto_initial_ns = value
    elif name == "rto_variance_ns": o.rto_variance_ns = value
    elif name == "slow_start_limit": o.slow_start_limit = value
    elif name == "tail_probe": o.tail_probe = value
    elif name == "max_ack_delay_ns": o.max_ack_delay_ns = value
    elif name == "keep_idle_ns": o.keep_idle_ns = value
    elif name == "keep_interval_ns": o.keep_interval_ns = value
    elif name == "keep_count": o.keep_count = value
    elif name == "initial_window": o.initial_window = value
    elif name == "user_timeout_ns": o.user_timeout_ns = value
    elif name == "syn_timeout_ns": o.syn_timeout_ns = value
    elif name == "time_wait_ns": o.time_wait_ns = value
    elif name == "fin_wait_2_ns": o.fin_wait_2_ns = value
    elif name == "backlog": o.backlog = value
    elif name == "ttl": o.ttl = value
    elif name == "tos": o.tos = value
    elif name == "window_scale": o.window_scale = value
    elif name == "sack": o.sack = value
    elif name == "timestamps": o.timestamps = value
    elif name == "ecn": o.ecn = value
    elif name == "syn_cookies": o.syn_cookies = value
    elif name == "uto_enabled": o.uto_enabled = value
    elif name == "uto_changeable": o.uto_changeable = value
    elif name == "adv_uto_ns": o.adv_uto_ns = value
    elif name == "uto_l_limit_ns": o.uto_l_limit_ns = value
    elif name == "uto_u_limit_ns": o.uto_u_limit_ns = value
    return 0
