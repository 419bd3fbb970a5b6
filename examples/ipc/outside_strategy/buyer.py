"""Buys once a fill has come; the same class would run inside the gateway."""
from gateway import SENT, VERDICTS, GatewaySession, MessageView


class Buyer:
    def __init__(self) -> None:
        self.fills = 0

    def on_logon(self, session: GatewaySession) -> None:
        print("logged on", flush=True)
        self.buy(session)

    def buy(self, session: GatewaySession) -> None:
        if session.order_new("FIXW", "1", 100, 99_50000000) != SENT:
            print("the channel is full", flush=True)

    def on_message(self, session: GatewaySession, msg: MessageView) -> None:
        if msg.MsgType == "8":
            self.fills += 1
            if self.fills % 10_000 == 1:
                print(f"{self.fills} fills, the last {msg.get_int(32)} at {msg.get_e8(31) / 1e8:.2f}", flush=True)
            self.buy(session)

    def on_verdict(self, session: GatewaySession, token: int, verdict: int) -> None:
        if verdict != SENT:
            print(f"order {token}: {VERDICTS[verdict]}", flush=True)
