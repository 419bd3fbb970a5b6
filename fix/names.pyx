"""The class whose attributes are the fields' names. fix/fieldset puts them there, fix/names.pyi (GENERATED) types them."""


cdef class FieldNames:
    """Every field of every version as an attribute: msg.Price, msg.NoPartyIDs, entry.MDEntryPx."""
