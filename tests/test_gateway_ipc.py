"""`fixwire ipc`: what it lists, what it refuses to remove."""
import json
import os

import pytest

from gateway.cli import main
from ipc.broadcast import Publisher
from ipc.channel import Writer


@pytest.fixture
def there(tmp_path):
    with Writer("orders", 64, 16, create=True, directory=tmp_path) as w:
        yield tmp_path, w


def test_list_and_show_tell_what_is_there(there, capsys):
    where, _ = there
    assert main(["ipc", "list", "--directory", str(where)]) == 0
    assert "orders" in (out := capsys.readouterr().out) and "producer" in out
    assert main(["ipc", "show", "orders", "--json", "--directory", str(where)]) == 0
    assert json.loads(capsys.readouterr().out)["capacity"] == 16


def test_a_segment_in_use_is_not_removed_and_one_left_behind_is(there, capsys):
    where, writer = there
    assert main(["ipc", "remove", "orders", "--directory", str(where)]) == 2
    assert "in use" in capsys.readouterr().err
    writer.close()
    assert main(["ipc", "list", "--directory", str(where)]) == 0        # its creator, this process, lives
    assert main(["ipc", "remove", "orders", "--directory", str(where)]) == 0
    assert main(["ipc", "show", "orders", "--directory", str(where)]) == 2


def test_what_is_not_ours_is_named_and_left_alone(there, capsys):
    where, _ = there
    (where / "fixwire.junk").write_bytes(b"x")
    assert main(["ipc", "list", "--directory", str(where)]) == 1
    assert main(["ipc", "remove", "junk", "--directory", str(where)]) == 2
    assert (where / "fixwire.junk").exists()
    assert main(["ipc", "list", "--directory", str(where / "nowhere")]) == 2


def test_a_pooled_broadcast_is_removed_with_its_pool(tmp_path, capsys):
    Publisher("quotes", 64, 16, buffers=16, directory=tmp_path).close()
    assert main(["ipc", "remove", "quotes", "--directory", str(tmp_path)]) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("octets, said", [(100, "truncated"), (4096, "truncated")])
def test_one_cut_off_is_listed_and_removed(there, capsys, octets, said):
    where, writer = there
    os.truncate(writer.segment.path, octets)
    writer.close()
    assert main(["ipc", "list", "--directory", str(where)]) == 1 and said in capsys.readouterr().out
    assert main(["ipc", "remove", "orders", "--directory", str(where)]) == 0
    assert os.listdir(where) == []


def test_a_segment_of_another_release_is_named_and_may_be_removed(there, capsys):
    where, writer = there
    writer.close()
    fd = os.open(writer.segment.path, os.O_RDWR)
    os.pwrite(fd, b"\x63", 8)
    os.close(fd)
    assert main(["ipc", "list", "--directory", str(where)]) == 1 and "layout 99" in capsys.readouterr().out
    assert main(["ipc", "remove", "orders", "--directory", str(where)]) == 0
    assert os.listdir(where) == []


def test_what_is_no_file_is_listed_and_left_alone(there, capsys):
    where, _ = there
    os.mkfifo(where / "fixwire.fifo")
    assert main(["ipc", "list", "--json", "--directory", str(where)]) == 1
    assert "regular" in capsys.readouterr().out
    assert main(["ipc", "remove", "fifo", "--directory", str(where)]) == 2
