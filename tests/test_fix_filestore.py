"""QuickFIX's FileStore: taken over and given back, and understood by QuickFIX itself where it is installed."""
import pytest
from messages import frame

import fix
from fix.filestore import export_filestore, import_filestore

NAME = "FIX.4.4-US-PEER"


def filled():
    store = fix.MemoryStore()
    session = fix.Session("acceptor", "US", "PEER", store=store, utc_offset_ns=1_700_000_000 * 10**9)
    other = fix.Session("initiator", "PEER", "US", utc_offset_ns=1_700_000_000 * 10**9)
    for s in (session, other):
        s.connected(0)
    session.receive(other.data_to_send(), 0)
    for n in range(5):
        session.send(f"35=8|37={n}|58={'x' * n}|", 0)
    session.disconnected(0)
    return store


def test_there_and_back(tmp_path):
    store = filled()
    assert export_filestore(store, tmp_path, NAME) == 5
    assert (tmp_path / f"{NAME}.seqnums").read_text() == "0000000007 : 0000000002"
    assert (tmp_path / f"{NAME}.header").read_text().startswith("2,0,")
    back = fix.MemoryStore()
    assert import_filestore(back, tmp_path, NAME) == 5
    assert [back.get(n) for n in range(1, 8)] == [store.get(n) for n in range(1, 8)]
    assert (back.next_out, back.next_in) == (7, 2)


def test_a_journal_takes_it_over_and_keeps_it(tmp_path):
    store = filled()
    export_filestore(store, tmp_path, NAME)
    (tmp_path / f"{NAME}.session").write_text("20260102-03:04:05")
    with fix.Journal("q", ring_directory=str(tmp_path), ring_octets=65536) as journal:
        import_filestore(journal, tmp_path, NAME)
    with fix.Journal("q", ring_directory=str(tmp_path), ring_octets=65536) as journal:
        assert (journal.next_out, journal.next_in) == (7, 2)
        assert journal.created_utc_ns == 1_767_323_045 * 10**9
        assert journal.get(4) == store.get(4)


@pytest.mark.parametrize("suffix, text, complaint", [
    ("seqnums", "one : two", "not two numbers"), ("seqnums", "0 : 1", "not two numbers"),
    ("session", "yesterday", "is not a UTC time"), ("header", "2,0 ", "is not MsgSeqNum,offset,size"),
    ("header", "2,0,99999999 ", "is not within"), ("body", "", "is not within"),
])
def test_files_that_are_not_quickfixs_change_nothing(tmp_path, suffix, text, complaint):
    export_filestore(filled(), tmp_path, NAME)
    (tmp_path / f"{NAME}.{suffix}").write_text(text)
    store = fix.MemoryStore()
    store.append(1, b"kept")
    with pytest.raises(fix.JournalError, match=complaint):
        import_filestore(store, tmp_path, NAME)
    assert store.get(1) == b"kept"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(fix.JournalError, match=r"seqnums: No such file"):
        import_filestore(fix.MemoryStore(), tmp_path, NAME)


def test_quickfix_goes_on_with_what_we_write_and_we_with_its(tmp_path):
    quickfix = pytest.importorskip("quickfix", reason="quickfix is not installed")
    store = filled()
    export_filestore(store, tmp_path, NAME)
    now = quickfix.UtcTimeStamp()
    theirs = quickfix.FileStore(now, str(tmp_path), quickfix.SessionID("FIX.4.4", "US", "PEER"))
    assert (theirs.getNextSenderMsgSeqNum(), theirs.getNextTargetMsgSeqNum()) == (7, 2)
    theirs.set(7, "8=FIX.4.4\x01theirs\x01")
    theirs.setNextSenderMsgSeqNum(8)
    theirs.setNextTargetMsgSeqNum(11)
    del theirs
    back = fix.MemoryStore()
    assert import_filestore(back, tmp_path, NAME) == 6
    assert (back.next_out, back.next_in, back.get(7)) == (8, 11, b"8=FIX.4.4\x01theirs\x01")
    assert back.get(4) == store.get(4)


def test_administrative_messages_count_and_are_not_kept(tmp_path):
    bodies = [b"35=A\x0134=1\x01", b"35=D\x0134=2\x01", b"35=5\x0134=3\x01", b"35=3\x0134=4\x01", b"35=AE\x0134=5\x01"]
    messages = [frame("FIX.4.4", body) for body in bodies]
    (tmp_path / f"{NAME}.body").write_bytes(b"".join(messages))
    at = [sum(map(len, messages[:n])) for n in range(5)]
    (tmp_path / f"{NAME}.header").write_text("".join(f"{n + 1},{at[n]},{len(messages[n])} " for n in range(5)))
    (tmp_path / f"{NAME}.seqnums").write_text("6 : 1")
    (tmp_path / f"{NAME}.session").write_text("20260102-03:04:05")
    store = fix.MemoryStore()
    assert import_filestore(store, tmp_path, NAME) == 5 and store.next_out == 6
    assert [store.get(n) for n in range(1, 6)] == [None, messages[1], None, messages[3], messages[4]]
