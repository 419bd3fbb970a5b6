"""What `fix` raises: always a FixError; a wrong value is a ValueError too, a missing field a KeyError."""


class FixError(Exception):
    """Any refusal of this package."""


class DictionaryError(FixError, ValueError):
    """A data dictionary that cannot be used. The text begins with `file:line:` where there is one."""


class GarbledMessage(FixError, ValueError):
    """Octets that are no message: framing, BodyLength or CheckSum. `skip` octets lead to the next candidate."""

    def __init__(self, text: str, skip: int = 0) -> None:
        super().__init__(text)
        self.skip = skip


class IncompleteMessage(FixError, ValueError):
    """The octets end before the message does; `need` octets in all are wanted."""

    def __init__(self, text: str, need: int = 0) -> None:
        super().__init__(text)
        self.need = need


class MessageError(FixError, ValueError):
    """A message with right BodyLength and CheckSum that is wrong inside, or one that cannot be built."""


class FieldMissing(FixError, KeyError):
    """The message has no such field."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FieldValueError(FixError, ValueError):
    """The field is there and is not what was asked for; names the field, the value and the limit."""


class LocalProtocolError(FixError):
    """You asked a session for something it cannot do now; nothing was sent and no number was used."""


class RemoteProtocolError(FixError):
    """The peer broke the session protocol; the text is the session's reason."""


class JournalError(FixError):
    """A journal that cannot be opened as it is: in use, damaged, or two halves of different journals."""
