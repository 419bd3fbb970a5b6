from typing import Any

from .face import Message

class TypedMessage(Message):
    MSGTYPE: str
    BEGIN_STRING: str
    VERSION: str
    def __init__(self, **fields: Any) -> None: ...
