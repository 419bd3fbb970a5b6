"""`fixwire ipc`: what it lists, what it refuses to remove."""
import json

import pytest

from gateway.cli import main
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
