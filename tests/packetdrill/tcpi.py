"""What `%{ }%` sees: Linux' tcp_info by its names and units, made of Connection.info(); and `info` itself."""
from __future__ import annotations

STATES = ("", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
          "LAST-ACK", "LISTEN", "CLOSING")
CONSTANTS = {
    "TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6,
    "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
    "TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
    "TCPI_ESTABLISHED": 1, "TCPI_SYN_SENT": 2, "TCPI_SYN_RECEIVED": 3, "TCPI_FIN_WAIT_1": 4, "TCPI_FIN_WAIT_2": 5,
    "TCPI_TIME_WAIT": 6, "TCPI_CLOSED": 7, "TCPI_CLOSE_WAIT": 8, "TCPI_LAST_ACK": 9, "TCPI_LISTEN": 10, "TCPI_CLOSING": 11,
    "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
}


def namespace(info):
    """Names for a snippet. Segments are octets divided by the MSS, rounded up; times are microseconds."""
    mss = info["mss"] or 1

    def segments(octets):
        return -(-octets // mss)

    return {
        **CONSTANTS, "info": info, "print": lambda *_: None,    # a script's notes for its author
        "tcpi_state": STATES.index(info["state"]), "tcpi_snd_mss": mss, "tcpi_backoff": info["backoff"],
        "tcpi_snd_cwnd": info["cwnd"] // mss, "tcpi_snd_ssthresh": info["ssthresh"] // mss,
        "tcpi_unacked": segments(info["unacked"]), "tcpi_sacked": segments(info["sacked"]),
        "tcpi_lost": segments(info["lost"]), "tcpi_total_retrans": info["retransmitted"],
        "tcpi_rtt": info["srtt_ns"] // 1000, "tcpi_rttvar": info["rttvar_ns"] // 1000, "tcpi_rto": info["rto_ns"] // 1000,
        "tcpi_min_rtt": info["min_rtt_ns"] // 1000, "tcpi_notsent_bytes": info["unsent"],
        "tcpi_bytes_acked": info["octets_acked"], "tcpi_bytes_received": info["octets_in"],
        "tcpi_advmss": info["advmss"], "tcpi_retransmits": info["backoff"],
        "tcpi_segs_in": info["segments_in"], "tcpi_segs_out": info["segments_out"],
        "tcpi_options": info["timestamps"] | info["sack"] << 1 | bool(info["window_scale"]) << 2 | info["ecn"] << 3,
        "tcpi_ca_state": {"none": 1 if info["dup_acks"] or info["sacked"] else 0, "fast": 3, "loss": 4}[info["recovery"]],
    }
