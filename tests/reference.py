"""docs/gateway-toml.md, made from gateway/keys.py: python tests/reference.py > docs/gateway-toml.md

tests/test_gateway_config.py compares the page with what is made here, and sees that every key has its place.
"""
from gateway.keys import IPC_KEYS, KEYS, OUTSIDE_KEYS, SESSION_KEYS, Key

HEAD = """\
# gateway.toml

Every key of `fixwire run`. Made from `gateway/keys.py`; [examples/gateway.toml](../examples/gateway.toml) is a file to begin
with, and `fixwire run FILE --check` tells every mistake with its line. Unknown keys are refused.

Keys that QuickFIX has carry QuickFIX's names, in its spelling; the others are lower case. A table `[default]` holds session
keys for every `[[sessions]]` table that does not set them itself.
"""
GROUPS = {
    "The gateway": ("device", "address", "gateway", "strategy", "core", "idle", "eal", "seed", "exceptions", "log",
                    "log_ring_octets", "admin", "runtime_directory", "audit_log", "flight_recorder", "user_timeout",
                    "user_timeout_option", "ipc", "default", "sessions"),
    "A session: who": ("role", "BeginString", "SenderCompID", "TargetCompID", "SenderSubID", "TargetSubID",
                       "SenderLocationID", "TargetLocationID", "DefaultApplVerID", "Username", "Password", "name"),
    "A session: where": ("host", "port", "backup_hosts", "AcceptorTemplate", "template_sessions",
                         "ReconnectInterval", "reconnect_max"),
    "A session: Logon and Logout": ("HeartBtInt", "LogonTimeout", "LogoutTimeout", "ResetOnLogon", "ResetOnLogout",
                                    "ResetOnDisconnect", "EnableLastMsgSeqNumProcessed", "EnableNextExpectedMsgSeqNum",
                                    "TimestampPrecision"),
    "A session: limits": ("MaxMessageSize", "ResendRequestChunkSize", "resend_messages", "throttle_messages",
                          "throttle_interval"),
    "A session: what is kept": ("store", "FileStorePath", "durability", "sync_ms", "ring_directory", "ring_octets",
                                "segment_octets", "keep_segments", "store_messages", "store_octets", "FileLogPath"),
    "A session: what is checked": ("CheckCompID", "CheckLatency", "MaxLatency", "UseDataDictionary", "DataDictionary",
                                   "TransportDataDictionary", "ValidateFieldsOutOfOrder", "ValidateFieldsHaveValues",
                                   "ValidateUserDefinedFields", "AllowUnknownMsgFields", "ValidateRequiredFields",
                                   "ValidateGroupFieldsOrder"),
    "A session: when": ("NonStopSession", "StartTime", "EndTime", "StartDay", "EndDay", "Weekdays", "TimeZone"),
    "A session: risk": ("max_order_qty", "max_notional", "max_orders_per_second", "min_price", "max_price", "price_band",
                        "reference_prices", "price_band_last", "price_symbols", "max_open_orders",
                        "bypass_allowed"),
}


def default(key: Key) -> str:
    """The default column."""
    if key.required:
        return "**required**"
    if key.default is None:
        return key.unset
    if isinstance(key.default, str):
        return f'`"{key.default}"`'
    if isinstance(key.default, (tuple, dict)):
        return "`{}`" if key.default == {} else "`[" + ", ".join(f'"{v}"' for v in key.default) + "]`"
    return f"`{str(key.default).lower()}`"


def page() -> str:
    """The whole page."""
    both = {**SESSION_KEYS, **KEYS}
    tables = {title: {name: both[name] for name in names} for title, names in GROUPS.items()}
    tables["Strategies in processes of their own: `[ipc]`"] = IPC_KEYS
    tables["... and one `[[ipc.strategies]]` each"] = OUTSIDE_KEYS
    out = [HEAD]
    for title, keys in tables.items():
        out.append(f"\n## {title}\n\n| key | value | default | |\n|---|---|---|---|\n")
        for name, key in keys.items():
            out.append(f"| `{name}` | {key.check.says} | {default(key)} | {key.doc} |\n")
    return "".join(out)


if __name__ == "__main__":
    print(page(), end="")
