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


def test_the_judge_sees_a_missing_fill_a_missing_verdict_and_a_loss(tmp_path):
    row = {"deaths": 1, "hellos": 2, "taken": 4, "sent": 2, "refused": 0, "open": 0, "waiting": 0, "cancels": 0, "lost": 0,
           "verdicts": {"SENT": 2}}
    calm = {**row, "deaths": 0, "hellos": 1, "taken": 2, "sent": 1, "verdicts": {"SENT": 1}}
    found = {"desk": {"victim": row, "steady": calm}, "orders": 3, "cancels": 0, "malformed": 0, "unfilled": 0,
             "numbers": [9, 9, 7, 7], "near": {"connects": 1, "resend_requests": 0}, "far": {"connects": 1}}
    kept = {"sent": 1, "fills": 1, "wrong": 0, "lost": 0, "verdicts": {"SENT": 1}, "errors": 0}
    good = ["order 1 65", "verdict 1 SENT", "fill 65", "order 3 129", "verdict 3 SENT", "fill 129"]
    notes = tmp_path / "notes"

    def judge(lines=good, kept=kept, **changed):
        notes.write_text("\n".join(lines))
        return judged({**found, **changed}, kept, notes, 1)
    assert judge() == []
    for gone in range(len(good)):
        assert judge(good[:gone] + good[gone + 1:]) or good[gone].startswith("order")     # it died before it could note it
    assert judge(kept={**kept, "fills": 2}) and judge(kept={**kept, "lost": 1}) and judge(orders=2)
    assert judge(numbers=[9, 8, 7, 7]) and judge(near={"connects": 2}) and judge(far={"connects": 1, "resend_requests": 1})
    assert judge([*good, "order 2 193"]) and not judge([*good, "order 4 193"])      # the channel was read up to 3
