"""One outside strategy killed with -9 under traffic: the other, the sessions and the accounts are untouched."""
from children import in_a_small_process
from killed_strategies import WARM_UP, judged, run


def kill(directory):
    found, wrong = run(10, 1, directory)
    assert not wrong, (wrong, found)
    assert found["steady"]["fills"] >= WARM_UP and found["market"]["desk"]["victim"]["sent"] > 10
    assert all(found["steady"]["killed"][who]["count"] for who in ("the bystander", "the victim"))


def test_ten_kills_and_every_order_is_accounted_for(tmp_path):
    in_a_small_process("test_gateway_killed_strategies", "kill", tmp_path)


def test_the_judge_sees_what_is_missing_lost_or_never_happened(tmp_path):
    row = {"deaths": 3, "hellos": 4, "taken": 9, "sent": 4, "refused": 1, "open": 1, "waiting": 0, "cancels": 1, "lost": 0,
           "verdicts": {"SENT": 4, "STALE": 1}}
    row["taken"] = row["hellos"] + row["sent"] + row["refused"]
    calm = {**row, "deaths": 0, "hellos": 1, "taken": 2, "sent": 1, "refused": 0, "open": 0, "verdicts": {"SENT": 1}}
    market = {"orders": 4, "filled": 2, "rested": 2, "resting": 1, "rejected": 0, "cancels": 2, "canceled": 1, "too_late": 1,
              "unknown": 0, "malformed": 0, "refused": 0}
    found = {"desk": {"victim": row, "steady": calm}, "exchange": market,
             "numbers": [9, 9, 7, 7], "near": {"connects": 1, "resend_requests": 0}, "far": {"connects": 1}}
    kept = {"sent": 1, "fills": 1, "wrong": 0, "lost": 0, "verdicts": {"SENT": 1}, "errors": 0}
    good = ["order 1 65", "verdict 1 SENT", "fill 65", "rest 3 129", "verdict 3 SENT", "rested 129", "rest 4 193",
            "verdict 4 SENT", "rested 193", "cancel 5 257", "verdict 5 SENT", "canceled 129", "rest 6 321",
            "verdict 6 STALE"]
    notes = tmp_path / "notes"

    def judge(lines=good, kept=kept, **changed):
        notes.write_text("\n".join(lines))
        return judged({**found, **changed}, kept, notes, 1)

    def at_desk(**changed):
        return {"desk": {"victim": {**row, **changed}, "steady": calm}}

    def at_market(**changed):
        return {"exchange": {**market, **changed}}
    assert judge() == []
    for gone in range(len(good)):               # it may die before it could note what it did, not what it is told
        assert judge(good[:gone] + good[gone + 1:]) or good[gone].split()[0] in ("order", "rest", "cancel")
    assert judge(kept={**kept, "fills": 2}) and judge(kept={**kept, "lost": 1})
    assert judge(numbers=[9, 8, 7, 7]) and judge(near={"connects": 2}) and judge(far={"connects": 1, "resend_requests": 1})
    assert judge([*good, "order 2 385"]) and not judge([*good, "order 9 385"])      # the channel was read up to 8
    for count in market:
        if count not in ("too_late", "unknown"):            # cancels that came too late: whether any does is chance
            assert judge(**at_market(**{count: market[count] + 1})), count
    for count, value in (("open", 0), ("deaths", 2), ("sent", 5), ("cancels", 2), ("lost", 1), ("taken", 8)):
        assert judge(**at_desk(**{count: value})), count
    # what never happened shows nothing: the same run without cancels for the dead, and without a stale order
    assert judge(**at_desk(cancels=0), **at_market(cancels=1)) == ["0 cancels for the dead"]
    assert judge(good[:-2], **at_desk(refused=0, taken=8, verdicts={"SENT": 4})) == ["0 orders refused as stale"]
