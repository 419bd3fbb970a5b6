"""Administration: a request over the socket, what it does to a session, what the audit log then holds."""
import contextlib
import io
import json
import os
import socket
import stat
import threading

import pytest
from street import Quiet, Street
from test_gateway_cli_run import configured, started

from gateway import admin, cli
from gateway.admin import AdminServer, Unavailable

NAME = "GATEWAY->VENUE"


class Desk:
    """A street whose gateway is administered; `fixwire session ...` in a thread while the street goes on."""

    def __init__(self, directory, **kw):
        self.directory = directory
        self.street = Street(Quiet(), **kw)
        self.street.settle()
        self.street.out()
        self.path = str(directory / "run" / "gateway-1.sock")
        self.log = directory / "audit.log"
        self.server = AdminServer(self.street.gateway, self.path, str(self.log))

    def while_going_on(self, fn):
        found = []
        thread = threading.Thread(target=lambda: found.append(fn()))
        thread.start()
        while thread.is_alive():
            self.street.step(0)
        return found[0]

    def session(self, *words):
        """(exit code, what it printed as JSON, standard error)"""
        out, err = io.StringIO(), io.StringIO()

        def command():
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return cli.main(["session", *words, "--json", "--runtime-directory", str(self.directory / "run")])
        code = self.while_going_on(command)
        self.street.settle()
        return code, json.loads(out.getvalue() or "null"), err.getvalue()

    def done(self, *words):
        code, said, err = self.session(*words)
        assert (code, err) == (0, ""), (code, err)
        return said

    def refused(self, *words):
        code, said, err = self.session(*words)
        assert code == 1 and err == f"fixwire: {said['error']}\n"
        return said["error"]

    def out(self):
        return [m.split("|35=")[1].split("|")[0] for m in self.street.out()]

    def audit(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    yield made
    made.server.close()
    made.street.close()


def test_list_and_show(desk):
    said, = desk.done("list")
    assert said == {"name": NAME, "role": "initiator", "BeginString": "FIX.4.4", "SenderCompID": "GATEWAY",
                    "TargetCompID": "VENUE", "state": "established", "enabled": True, "connected": True,
                    "logged_on": True, "next_in": 2, "next_out": 2, "killed": False, "open_orders": 0}
    assert desk.done("show", NAME)["stats"]["logons"] == 1
    assert desk.audit() == []                               # looking is no change


def test_a_table_for_people(desk, capsys):
    desk.while_going_on(lambda: cli.main(["session", "show", NAME, "--runtime-directory", str(desk.directory / "run")]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "role", "BeginString", "state", "next_in", "next_out", "enabled", "killed"]
    assert lines[1].split() == [NAME, "initiator", "FIX.4.4", "established", "2", "2", "true", "false"]
    assert "  logons 1" in lines


def test_requests_and_logout_leave_at_once(desk):
    desk.done("test-request", NAME)
    assert desk.out() == ["1"]
    desk.done("resend-request", NAME, "--from", "1", "--to", "1")
    sent, = desk.street.out()
    assert "|35=2|" in sent and "|7=1|16=1|" in sent
    desk.done("logout", NAME, "--text", "good night")
    assert "|58=good night|" in desk.street.out()[0]


def test_a_change_is_in_the_audit_log_with_who_and_before_and_after(desk):
    desk.done("disable", NAME)
    asked, done = desk.audit()
    for entry in (asked, done):
        assert (entry["uid"], entry["pid"]) == (os.geteuid(), os.getpid())
        assert (entry["command"], entry["session"]) == ("disable", NAME)
        assert entry["at"].endswith("+00:00") and entry["before"]["enabled"] is True
    assert (asked["phase"], done["phase"]) == ("asked", "done") and done["after"]["enabled"] is False


def test_the_audit_comes_before_the_effect(desk):
    """A log that cannot be written: refused, and nothing was done."""
    desk.log.mkdir()
    assert "audit log" in desk.refused("test-request", NAME) and desk.out() == []
    assert "nothing was changed" in desk.refused("disable", NAME)
    assert desk.done("list")[0]["enabled"] is True


def test_disabled_stays_out_until_enabled(desk):
    desk.done("disable", NAME)
    assert desk.out() == ["5"]
    desk.street.pass_s(70, every_ms=100)
    assert desk.done("list")[0]["state"] == "disconnected"
    desk.done("enable", NAME)
    assert desk.done("list")[0]["state"] == "established"


def test_numbers_are_set_while_it_is_out(desk):
    desk.done("disable", NAME)
    assert desk.done("seq", NAME, "--in", "3", "--out", "7")["next_out"] == 7
    assert "next_out would go from 7 down to 6" in desk.refused("seq", NAME, "--out", "6")
    desk.done("seq", NAME, "--out", "6", "--force")
    desk.done("seq", NAME, "--in", "1")
    said, = desk.done("list")
    assert (said["next_in"], said["next_out"]) == (1, 6)
    desk.done("reset", NAME)
    said, = desk.done("list")
    assert (said["next_in"], said["next_out"]) == (1, 1)


def test_what_is_unsafe_needs_force(desk):
    assert "is logged on" in desk.refused("seq", NAME, "--out", "40") and "--force" in desk.refused("reset", NAME)
    assert desk.out() == [] and desk.audit()[-1]["phase"] == "refused"
    desk.done("reset", NAME, "--force")
    logon, = desk.street.out()
    assert "|35=A|34=1|" in logon and "|141=Y|" in logon
    assert desk.done("list")[0]["next_out"] == 2


@pytest.mark.parametrize("words, why", [
    (("show", "NOBODY"), "no session is called 'NOBODY'; there is GATEWAY->VENUE"),
    (("seq", NAME), "neither --in nor --out is there"), (("seq", NAME, "--in", "0"), "in is 0, must be a whole number"),
    (("resend-request", NAME, "--from", "2"), "from is 2, must be below 2"),
    (("resend-request", NAME, "--from", "1", "--to", "0"), "to is 0, must be"),
])
def test_what_cannot_be_is_refused_in_a_sentence(desk, words, why):
    assert why in desk.refused(*words) and desk.out() == []


def test_what_needs_a_logon_is_refused_without_one(desk):
    desk.done("disable", NAME)
    desk.out()
    for words in (("logout", NAME), ("test-request", NAME), ("resend-request", NAME, "--from", "1")):
        assert "is not logged on (disconnected)" in desk.refused(*words)


def test_the_kill_switch(desk):
    desk.done("kill", "--all")
    assert desk.street.here.order_new("ABC", "1", 1, 1) == 8
    desk.done("unkill", NAME)
    assert desk.street.here.order_new("ABC", "1", 1, 1) == 0


def test_every_command_is_in_the_documentation():
    with open("docs/administration.md") as f:
        page = f.read()
    assert [action for action in cli.SESSION_ACTIONS if f"`{action}" not in page] == []
    assert sorted(cli.SESSION_ACTIONS) == sorted(admin.COMMANDS)


# -- the socket

def test_only_the_owner_can_reach_the_socket(desk):
    assert stat.S_IMODE(os.stat(desk.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(desk.path)).st_mode) == 0o700
    desk.done("kill", NAME)
    assert stat.S_IMODE(os.stat(desk.log).st_mode) == 0o600


def test_another_user_is_refused_even_on_an_open_socket(desk):
    """Whoever comes by a descriptor: the kernel says who it is, and that is not the gateway's user."""
    if os.geteuid() != 0:
        desk.server.owner = 65534
        assert b"may not administer" in raw(desk.path, b'{"command": "list"}\n')
        return
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            served, client = socket.socketpair(socket.AF_UNIX)
            client.sendall(b'{"command": "kill", "session": "*"}\n')
            desk.server.serve(served)
            os._exit(0 if b"user 65534 may not" in client.recv(4096) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("spoil, why", [
    (lambda d: d.chmod(0o777), "can be written to by others"), (lambda d: (d.rmdir(), d.write_text("")), "cannot be made"),
    (lambda d: (d.rmdir(), d.symlink_to("/tmp")), "is not a directory"),
])
def test_a_directory_that_is_not_ours_alone_is_refused(tmp_path, spoil, why):
    directory = tmp_path / "run"
    directory.mkdir(0o700)
    spoil(directory)
    with Street(Quiet()) as street, pytest.raises(Unavailable, match=why):
        AdminServer(street.gateway, str(directory / "g.sock"), str(tmp_path / "log"))


def test_one_gateway_a_socket_and_a_killed_ones_socket_is_taken_over(desk):
    with pytest.raises(Unavailable, match="another gateway of this configuration serves"):
        AdminServer(desk.street.gateway, desk.path, str(desk.log))
    desk.server.close()
    left = socket.socket(socket.AF_UNIX)
    left.bind(desk.path)                                    # what kill -9 leaves: a name nobody listens on
    left.close()
    desk.server = AdminServer(desk.street.gateway, desk.path, str(desk.log))
    assert desk.done("list")


def test_nothing_is_left_of_a_gateway_that_ended(desk):
    desk.server.close()
    assert os.listdir(os.path.dirname(desk.path)) == []


def test_a_lock_that_was_removed_under_us_is_no_lock(tmp_path, monkeypatch):
    """A gateway ends, and removes its lock's file, between another's open and flock."""
    path, flock, removed = str(tmp_path / "g.sock"), admin.fcntl.flock, []

    def late(fd, how):
        flock(fd, how)
        if not removed:
            removed.append(os.unlink(path + ".lock"))
    monkeypatch.setattr(admin.fcntl, "flock", late)
    lock = admin.take_lock(path)
    assert os.fstat(lock).st_ino == os.stat(path + ".lock").st_ino
    with pytest.raises(Unavailable):
        admin.take_lock(path)
    os.close(lock)


def test_no_gateway_is_one_sentence(tmp_path, capsys):
    assert cli.main(["session", "list", "--runtime-directory", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("fixwire: no gateway runs: none serves a socket in ")


def test_several_gateways_want_to_be_told_apart(tmp_path, capsys):
    with Street(Quiet()) as one, Street(Quiet()) as two, \
            AdminServer(one.gateway, f"{tmp_path}/a-1.sock", f"{tmp_path}/log"), \
            AdminServer(two.gateway, f"{tmp_path}/b-2.sock", f"{tmp_path}/log"):
        assert cli.main(["session", "list", "--runtime-directory", str(tmp_path)]) == 2
    assert "2 gateways run here (a, b): say which with --config FILE" in capsys.readouterr().err


def raw(path, octets):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        with contextlib.suppress(OSError):
            s.sendall(octets)
            s.shutdown(socket.SHUT_WR)
        return s.recv(65536)


@pytest.mark.parametrize("octets", [b"", b"\n", b"{}\n", b"[1]\n", b'{"command": ["list"]}\n', b'{"command": "stop"}\n',
                                    b"\xff\xfe\n", b"[" * 70_000, b'{"command": "seq", "session": "*", "in": true}\n',
                                    b'{"command": "seq", "session": "*", "out": 1e9, "force": 1}\n'])
def test_whatever_is_asked_gets_an_answer(desk, octets):
    answer = json.loads(desk.while_going_on(lambda: raw(desk.path, octets)))
    assert list(answer) == ["error"]
    assert desk.done("list")[0]["next_out"] == 2


def test_an_engine_that_does_not_answer_does_nothing_later(desk, monkeypatch):
    monkeypatch.setattr(admin, "ENGINE_S", 0.1)
    answer = raw(desk.path, b'{"command": "disable", "session": "*"}\n')
    assert b"did not answer within 0.1 s" in answer
    desk.street.settle()
    assert desk.done("list")[0]["enabled"] is True and desk.out() == []


def test_a_call_that_was_given_up_is_not_made_any_more():
    made = []
    call = admin.Call(lambda: made.append(1))
    with pytest.raises(admin.Refused, match="did not answer"):
        call.wait(0.05, threading.Event())
    call()
    assert made == []


# -- the process

def test_fixwire_session_and_a_running_gateway(tmp_path, capsys):
    path = configured(tmp_path, more=f'runtime_directory = "{tmp_path}/run"')
    p = started(path)
    try:
        assert cli.main(["session", "list", "--config", str(path), "--json"]) == 0
        said, = json.loads(capsys.readouterr().out)
        assert said["name"] == "US->THEM" and said["state"] == "disconnected"
        assert cli.main(["session", "seq", "US->THEM", "--out", "12", "--config", str(path)]) == 0
        assert json.loads((tmp_path / "g.audit.log").read_text().splitlines()[-1])["after"]["next_out"] == 12
        assert cli.main(["run", str(path)]) == 2            # the same configuration a second time
        assert "another gateway of this configuration serves" in capsys.readouterr().err
    finally:
        p.terminate()
        p.communicate(timeout=30)
    assert cli.main(["session", "list", "--config", str(path)]) == 2
    assert "no gateway runs" in capsys.readouterr().err and not list((tmp_path / "run").glob("*.sock"))
