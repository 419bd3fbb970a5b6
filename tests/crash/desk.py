"""The application of a gateway that dies: answers orders, and notes down what it did where no kill reaches it.

`Desk` is the strategy of one session in crash.process; `Desks` that of all of them in a `fixwire run`, which knows from the
environment which life it is.
"""
import json
import os

LIFE = "FIXWIRE_CRASH_LIFE"
LINE = 32                   # octets of a note: it never lies across a page, so a kill leaves none in half
NO_PLAN = {"point": "", "share": 0}


class Notes:
    """What the application did, in a file that outlives it. Opened by the keeper, read on before each life."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.told = []
        self.placed = set()

    def write(self, *words):
        os.write(self.fd, " ".join(map(str, words)).ljust(LINE - 1).encode() + b"\n")

    def read(self):
        with open(self.fd, "rb", closefd=False) as f:
            f.seek(LINE * len(self.told))
            new = [line.decode().split() for line in f]
        self.told += new
        self.placed.update(words[1] for words in new if words[0] == "I")
        return self.told


class Desk:
    """Answers every order once with an ExecutionReport(8); writes down what it got, wants to send and has sent."""

    def __init__(self, notes, life, plan, say, face=None):
        self.notes, self.life, self.tell, self.face = notes, life, say, face
        self.left = plan["passages"] if plan["point"] == "inside on_message" else None
        self.moment = int(plan["share"] * 4)
        self.lost = False
        self.placed = notes.placed

    def here(self, moment):
        if self.left is not None and moment == self.moment:
            self.left -= 1
            if self.left < 0:
                self.face.die("inside on_message")

    def on_start(self, engine):
        self.engine = engine
        self.tell("up")

    def on_logon(self, session):
        self.tell(f"logon {session.name}")
        self.say(session, f"N{self.life}", "B", [(148, "a new life"), (33, 1), (58, "good morning")])

    def on_logout(self, session):
        self.engine.stop()

    def on_message(self, session, msg):
        if msg.MsgType != "D":
            return
        ident, text = msg[11], msg.get(58, "x")
        self.here(0)
        self.notes.write("G", ident, int(msg.get(43) == "Y"))
        self.here(1)
        if f"E{ident}" not in self.placed:
            self.say(session, f"E{ident}", "8", [
                (37, ident), (150, "F"), (39, "2"), (11, ident), (55, msg[55]), (54, msg[54]), (38, msg[38]),
                (32, msg[38]), (31, msg[44]), (151, 0), (14, msg[38]), (6, msg[44]), (58, text)])
        self.here(3)

    def say(self, session, ident, kind, fields):
        self.notes.write("I", ident, self.life, session.next_out)
        self.placed.add(ident)
        self.here(2)
        if session.send(kind, [(17, ident), *fields]) == 0:
            self.notes.write("S", ident)
            if self.face is not None and self.face.cut() and not self.lost:
                self.lost = True
                self.tell(f"lost {session.name}")
        else:
            self.placed.discard(ident)


class Desks:
    """A Desk for each session, begun with the gateway."""

    def __init__(self):
        self.told = json.loads(os.environ[LIFE])
        self.desks = {}

    def say(self, line):
        os.write(self.told["fd"], line.encode() + b"\n")

    def on_start(self, engine):
        for session in engine.sessions:
            notes = Notes(self.told["notes"] + session.name)
            notes.read()
            notes.write("B", self.told["life"], session.next_out)
            desk = self.desks[session.name] = Desk(notes, self.told["life"], NO_PLAN, self.say)
            desk.engine = engine
        self.say("up")

    def on_logon(self, session):
        self.desks[session.name].on_logon(session)

    def on_logout(self, session):
        self.desks[session.name].on_logout(session)

    def on_message(self, session, msg):
        self.desks[session.name].on_message(session, msg)
