"""A script with one expected outbound line made wrong, in every way there is: each must fail, or the runner is blind.

`alterations(script)` gives (what was done, the altered script), for each outbound line: each flag toggled, sequence
number, length, acknowledgement, written window, each option changed, dropped and moved, time beyond tolerance, the line
removed, the line twice.
"""
from __future__ import annotations

import dataclasses

from .script import ELLIPSIS, Command, Event, Packet, Script, Time

MOD = 1 << 32


def alterations(script: Script):
    for i, event in enumerate(script.events):
        if not isinstance(event.action, Packet) or not event.action.outbound:
            continue
        where = f"line {event.line}"
        for what, action in packets(event.action):
            yield f"{where}: {what}", with_event(script, i, dataclasses.replace(event, action=action))
        for what, when in times(event.time):
            yield f"{where}: {what}", with_event(script, i, dataclasses.replace(event, time=when))
        yield f"{where}: removed", dataclasses.replace(script, events=carry(script.events, i))
        twice = dataclasses.replace(event, time=Time("relative"))
        yield f"{where}: twice", dataclasses.replace(
            script, events=[*script.events[:i + 1], twice, *script.events[i + 1:]])


def with_event(script, i, event):
    return dataclasses.replace(script, events=[*script.events[:i], event, *script.events[i + 1:]])


def carry(events, i):
    """Without events[i]; the next one keeps its time by taking over what events[i] had waited. Behind the last there is
    silence as long."""
    gone, rest = events[i], list(events[i + 1:])
    if not rest and gone.time.kind in ("relative", "absolute"):
        rest = [Event(gone.line, gone.time, Command("sleep 0"))]
        return [*events[:i], *rest]
    if rest and rest[0].time.kind.startswith("relative") and gone.time.kind == "relative":
        rest[0] = Event(rest[0].line, Time(rest[0].time.kind, rest[0].time.start + gone.time.start,
                                           rest[0].time.end and rest[0].time.end + gone.time.start), rest[0].action)
    return [*events[:i], *rest]


def packets(p):
    for flag in "FSRP.UEW":
        flags = p.flags.replace(flag, "") if flag in p.flags else p.flags + flag
        yield f"flags {flags or '-'}", dataclasses.replace(p, flags=flags)
    for by in (1, -1):
        yield f"sequence number {by:+d}", dataclasses.replace(p, seq=(p.seq + by) % MOD, end=(p.end + by) % MOD)
        if p.length + by >= 0:
            yield f"length {by:+d}", dataclasses.replace(p, length=p.length + by, end=(p.end + by) % MOD)
        if p.ack is not None:
            yield f"ack {by:+d}", dataclasses.replace(p, ack=(p.ack + by) % MOD)
        if p.win is not None and 0 <= p.win + by <= 65535:
            yield f"window {by:+d}", dataclasses.replace(p, win=p.win + by)
    if p.urg is not None:
        yield "urgent pointer +1", dataclasses.replace(p, urg=p.urg + 1)
    if p.ecn not in (None, "ect01"):
        other = "ect0" if p.ecn == "noecn" else "noecn"
        yield f"ECN {other}", dataclasses.replace(p, ecn=other)
    if p.tos is not None:
        yield "TOS", dataclasses.replace(p, tos=p.tos ^ 4)
    if p.ttl is not None:
        yield "TTL", dataclasses.replace(p, ttl=p.ttl - 1)
    if p.options is not None:
        for what, options in option_lists(p.options):
            yield what, dataclasses.replace(p, options=options)


def option_lists(options):
    for k, option in enumerate(options):
        name, *values = option
        yield f"without {name}", options[:k] + options[k + 1:]
        for j, value in enumerate(values):
            if value is ELLIPSIS:
                continue
            changed = tuple(value[:1] + (value[1] + 1,)) if isinstance(value, tuple) else value + 1
            yield f"{name} {changed}", [*options[:k], (name, *values[:j], changed, *values[j + 1:]), *options[k + 1:]]
        if name == "sack":
            yield "sack without its last block", [*options[:k], option[:-1], *options[k + 1:]]
        if k + 1 < len(options) and options[k + 1] != option:
            yield f"{name} behind {options[k + 1][0]}", [*options[:k], options[k + 1], option, *options[k + 2:]]
    yield "one nop more", [*options, ("nop",)]
    if not options:
        yield "mss nobody sent", [("mss", 1460)]


def times(when):
    if when.kind == "any":
        return
    span = (when.end - when.start + 1) if when.end is not None else 1
    for by in (span, -span):
        if when.start + by >= 0:
            yield f"time {by:+d} ns", dataclasses.replace(
                when, start=when.start + by, end=None if when.end is None else when.end + by)
