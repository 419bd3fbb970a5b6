"""Strategies that are Python objects, and the message they are shown."""
from typing_extensions import disjoint_base

from fix.dictionary import Dictionary
from fix.face import Message
from fix.fieldset import FieldSet
from gateway.strategy import Strategy

@disjoint_base
class MessageView(FieldSet):
    """The message a callback is handed, read in place: what a `fix.Message` can tell, nothing copied.

    Fields by tag or name: msg[55], msg["Symbol"], msg.get_int(38), msg.get_e8("Price"); converted by their type as
    attributes: msg.Price, msg.NoMDEntries[0].MDEntryPx.

    It is valid inside its callback only (RuntimeError afterwards) and reused by the next one; `copy()` is a message of
    its own, `bytes(msg)` the octets as they came. len(msg) is the number of fields.
    """
    @property
    def MsgType(self) -> str: ...
    @property
    def name(self) -> str: ...                  # NewOrderSingle
    @property
    def now_ns(self) -> int: ...                # the step in which it arrived
    @property
    def dictionary(self) -> Dictionary: ...
    def copy(self) -> Message: ...
    def __bytes__(self) -> bytes: ...

@disjoint_base
class PythonStrategy(Strategy):
    """A strategy that is a Python object; `Engine.add_strategy` makes it."""
    def __init__(self, target: object, on_error: str = "continue", name: str | None = None) -> None: ...
    @property
    def on_error(self) -> str: ...
    @property
    def target(self) -> object: ...
    @property
    def last_error(self) -> BaseException | None: ...
