from typing import Any

from typing_extensions import disjoint_base

from .face import Message

@disjoint_base
class TypedMessage(Message):
    MSGTYPE: str
    BEGIN_STRING: str
    VERSION: str
    def __init__(self, **fields: Any) -> None: ...
