from typing_extensions import disjoint_base

from .dictionary import Dictionary
from .face import Message

KINDS: dict[str, int]
SEVERAL: set[str]
TEXTS: dict[int, str]

@disjoint_base
class Validator:
    dictionary: Dictionary
    transport: Dictionary | None
    address: int
    def __new__(cls, dictionary: Dictionary, transport: Dictionary | None = None, *,
                ValidateFieldsOutOfOrder: bool = True, ValidateFieldsHaveValues: bool = True,
                ValidateUserDefinedFields: bool = True, AllowUnknownMsgFields: bool = False,
                ValidateRequiredFields: bool = True, ValidateGroupFieldsOrder: bool = False) -> Validator: ...
    def check(self, message: Message) -> tuple[int, int, str] | None: ...
