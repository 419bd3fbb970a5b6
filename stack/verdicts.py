"""What the numbers of netif, TCP and the flight recorder are called in Python, in counters and in captures."""
EVENTS = ("", "connected", "peer_closed", "reset", "refused", "timeout", "unreachable", "writable", "urgent", "closed")
ACK_POLICIES = ("immediate", "delay", "second")
CONGESTION = ("none", "newreno", "dctcp")
RX_VERDICTS = (
    "predicted", "accepted", "out_of_order", "malformed", "checksum", "no_connection", "duplicate", "outside_window",
    "paws", "bad_ack", "challenged", "bad_rst", "no_ack", "reassembly_full", "after_close", "zero_window", "no_slot",
    "backlog", "bad_cookie", "refused", "not_unicast", "no_match",
)
TX_REASONS = (
    "text", "ack", "dup_ack", "window", "syn", "syn_ack", "fin", "rst", "fast_retransmit", "rack_retransmit",
    "tail_probe", "timeout_retransmit", "syn_retransmit", "window_probe", "keepalive", "challenge_ack", "cookie",
    "pmtu_retransmit",
)
NETIF_VERDICTS = (
    "l4", "arp", "echo", "icmp_error", "short", "other_mac", "vlan", "ethertype", "arp_ignored", "arp_malformed",
    "arp_conflict", "ipv4_malformed", "ipv4_checksum", "ipv4_source", "ipv4_other", "ipv4_link_group", "ipv4_fragment",
    "ipv4_protocol", "icmp_malformed", "icmp_checksum", "icmp_ignored", "echo_unsent", "address_unusable",
)
TAKEN = ("l4", "arp", "echo", "icmp_error")                     # the other NETIF_VERDICTS are drops
DELIVERED = ("predicted", "accepted", "out_of_order")           # the other RX_VERDICTS are drops, answered or not
AGAIN = ("fast_retransmit", "rack_retransmit", "tail_probe", "timeout_retransmit", "syn_retransmit", "pmtu_retransmit")
