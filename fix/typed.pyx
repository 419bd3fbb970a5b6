"""Message classes: NewOrderSingle(ClOrdID="A1", Side="1", OrderQty=100, NoPartyIDs=[{"PartyID": "X"}]).

The classes are in fix.fix40 ... fix.fix50sp2 (GENERATED, with stubs that name every field). A name is looked for among the
fields of that message in its version's dictionary; what is no field of it goes in by tag (msg[5001] = ...).
"""
from fix.face cimport Message

from .dictionary import standard
from .errors import FieldMissing
from .fieldset import nearest

cdef dict names_of = {}         # class -> {name: tag}


cdef dict names(kind):
    """Names of the fields that messages of a class may have at their top level, and those of the header."""
    book = standard(kind.VERSION)
    transport = standard("FIXT.1.1") if kind.BEGIN_STRING == "FIXT.1.1" else book
    found = {transport.fields[m.tag].name: m.tag for m in transport.header_members()}
    found.update({book.fields[m.tag].name: m.tag for m in book.members(kind.MSGTYPE)})
    names_of[kind] = found
    return found


cdef class TypedMessage(Message):
    """The base of the message classes; MSGTYPE, BEGIN_STRING and VERSION are theirs."""
    MSGTYPE = ""
    BEGIN_STRING = ""
    VERSION = ""

    def __init__(self, **fields):
        cdef object kind = type(self)
        cdef dict known
        if not kind.MSGTYPE:
            raise TypeError("TypedMessage is a base class; fix.fix44.NewOrderSingle and its like are messages")
        known = <dict>names_of.get(kind) or names(kind)
        self.version = kind.BEGIN_STRING
        self.reserve(256, 24)
        self.put(35, kind.MSGTYPE)
        for name, value in fields.items():
            tag = known.get(name)
            if tag is None:
                raise FieldMissing(f"{kind.__name__}({kind.MSGTYPE}) of {kind.VERSION} has no field {name}"
                                   f"{nearest(name, known)}; what a venue adds goes in by tag: msg[5001] = ...")
            if value is not None:
                self.put(tag, value)

    @property
    def dictionary(self):
        """The standard dictionary of its version."""
        if self.given is None:
            self.given = standard(type(self).VERSION)
        return self.given

    @dictionary.setter
    def dictionary(self, value):
        self.given = value
        self.own = value is not None and not value.standard
