"""A message against its data dictionary, with every SessionRejectReason a dictionary can find.

Tables: a hash of the tags a message may have, in which a tag's slot says header, body or trailer, its field and its group;
the same for each group. One pass over the fields, recursing into groups, notes the fault that QuickFIX would report first.
Unlike QuickFIX the fields of groups are checked too (format, values, required, repeated); what it would have found comes
before what only that finds. Not here: CompIDs, SendingTime, sequence numbers (session), structure (fix_msg.error).
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fix.digits cimport fix_digits_e8, fix_digits_int, fix_digits_uint
from fix.face cimport Message
from fix.message cimport fix_field
from fix.outbound cimport is_header_tag
from fix.parse cimport fix_data_table
from fix.timestamp cimport fix_text_date, fix_text_is_utc, fix_text_time
from stack.wire.octets cimport unlikely

cdef enum:
    DEEPEST = 16            # groups within groups
    HEADER = 1
    TRAILER = 2
    BODY = 3
    USER_TAGS = 5000        # user-defined fields begin here (FIX 4.4 vol. 1 "User Defined Fields")

cdef enum check_kind:
    ANY = 0
    INT = 1
    DECIMAL = 2
    CHAR = 3
    BOOLEAN = 4
    TIMESTAMP = 5
    TIME = 6
    DATE = 7
    MONTHYEAR = 8
    COUNT = 9

cdef struct value_text:         # one value a field may have
    uint64_t head               # its first eight octets
    uint16_t n
    uint16_t pad
    uint32_t rest               # where the others are in the pool

cdef struct field_rule:
    uint32_t tag
    uint8_t kind
    uint8_t several             # values separated by spaces
    uint8_t transport           # a field of the transport's dictionary too
    uint16_t n_values           # 0: any
    uint32_t values
    uint64_t single[2]          # values of one octet, a bit each

cdef struct slot:
    uint32_t tag                # 0: empty
    uint16_t field
    uint8_t section
    uint8_t pad
    uint32_t group              # index of a scope, 0: none

cdef struct scope:              # a message, or an entry of a group
    slot *slots
    uint32_t shift              # 32 - bits of the hash
    uint32_t mask
    uint32_t delimiter
    bint transport              # a message of FIXT: fields of the application's dictionary are no fields to it
    uint32_t n_required
    slot *required              # ascending by tag, header and trailer first

cdef struct fix_rules:
    uint16_t *field_of          # tag below 65536 -> field, 0: none
    field_rule *fields
    value_text *values
    uint8_t *pool
    scope *scopes
    uint64_t *types             # hash of MsgTypes
    uint32_t *type_scopes
    uint32_t types_mask
    uint32_t n_fields, n_scopes
    uint32_t *stamps            # DEEPEST of n_fields: the scope's number where the field was seen in it
    uint32_t number
    uint32_t base, top          # number of the message being checked, counter of the outermost group
    bint order, have_values, user_defined, unknown_allowed, group_order, required
    uint32_t *high_tags         # tags of 65536 and above, ascending, and their fields
    uint16_t *high_fields
    uint32_t n_high

cdef struct fault:
    uint64_t key                # what QuickFIX reports first is lowest
    uint32_t tag
    int reason


cdef inline void note(fault *f, uint64_t phase, uint64_t section, uint32_t tag, uint64_t step, int reason) noexcept nogil:
    cdef uint64_t key = phase << 60 | section << 56 | <uint64_t>tag << 16 | step
    if key < f.key:
        f.key = key
        f.tag = tag
        f.reason = reason


cdef inline void note_order(fault *f, uint32_t tag, uint32_t i) noexcept nogil:
    """Field i stands behind the part of the message it belongs to; the first such field is the one reported."""
    note(f, 1, 0, 0, i, FIX_OUT_OF_ORDER)
    if f.reason == FIX_OUT_OF_ORDER and f.tag == 0:
        f.tag = tag


cdef inline void note_entry(fault *f, uint64_t top, uint64_t entry, uint32_t tag) noexcept nogil:
    """An entry lacks a field: ordered by the outermost group's counter, then by entry, then by tag."""
    cdef uint64_t key = <uint64_t>3 << 60 | <uint64_t>4 << 56 | (top & 0xFFFFF) << 36 | (entry & 0xFFFF) << 20 | (tag & 0xFFFFF)
    if key < f.key:
        f.key = key
        f.tag = tag
        f.reason = FIX_REQUIRED_MISSING


cdef inline const slot *slot_of(const scope *s, uint32_t tag) noexcept nogil:
    cdef uint32_t i = (tag * <uint32_t>2654435761) >> s.shift
    while s.slots[i].tag != tag:
        if s.slots[i].tag == 0:
            return NULL
        i = (i + 1) & s.mask
    return &s.slots[i]


cdef uint32_t field_index(const fix_rules *r, uint32_t tag) noexcept nogil:
    cdef uint32_t i
    if tag < 65536:
        return r.field_of[tag]
    for i in range(r.n_high):
        if r.high_tags[i] == tag:
            return r.high_fields[i]
    return 0


cdef bint well_formed(int kind, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef int64_t v = 0
    cdef int32_t days = 0
    cdef uint64_t u = 0
    if kind == INT or kind == COUNT:
        return fix_digits_int(p, n, &v) == 0
    if kind == DECIMAL:
        return fix_digits_e8(p, n, &v) != 1         # more digits than an e8 holds are still a number
    if kind == CHAR:
        return n == 1
    if kind == BOOLEAN:
        return n == 1 and (p[0] == 89 or p[0] == 78)
    if kind == TIMESTAMP:
        return fix_text_is_utc(p, n)
    if kind == TIME:
        return fix_text_time(p, n, &v)
    if kind == DATE:
        return fix_text_date(p, n, &days)
    if kind == MONTHYEAR:           # YYYYMM, YYYYMMDD, YYYYMMw1
        if n < 6 or fix_digits_uint(p, 6, &u) != 0 or u % 100 - 1 > 11:
            return False
        return n == 6 or (n == 8 and <uint8_t>(p[7] - 48) <= 9 and (p[6] == 119 or <uint8_t>(p[6] - 48) <= 3))
    return True


cdef bint one_of(const fix_rules *r, const field_rule *f, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef uint64_t head = 0
    cdef uint32_t i
    cdef const value_text *v
    if n == 1:
        return p[0] < 128 and (f.single[p[0] >> 6] >> (p[0] & 63)) & 1
    memcpy(&head, p, n if n < 8 else 8)
    for i in range(f.n_values):
        v = &r.values[f.values + i]
        if v.head == head and v.n == n and (n <= 8 or memcmp(r.pool + v.rest, p + 8, n - 8) == 0):
            return True
    return False


cdef bint has_value_of(const fix_rules *r, const field_rule *f, const uint8_t *p, uint32_t n) noexcept nogil:
    cdef uint32_t i, begin = 0
    if not f.several:
        return one_of(r, f, p, n)
    for i in range(n + 1):
        if i == n or p[i] == 32:
            if not one_of(r, f, p + begin, i - begin):
                return False
            begin = i + 1
    return True


cdef inline void check_field(fix_rules *r, fix_msg *m, const fix_field *f, uint32_t index, uint64_t section,
                             fault *bad) noexcept nogil:
    """Value, format, values: the checks of a field alone."""
    cdef const field_rule *rule = &r.fields[index]
    if unlikely(f.len == 0):
        if r.have_values:
            note(bad, 4, section, f.tag, 1, FIX_NO_VALUE)
        return
    if unlikely(rule.kind != ANY and not well_formed(rule.kind, m.p + f.off, f.len)):
        note(bad, 4, section, f.tag, 2, FIX_BAD_FORMAT)
    elif rule.n_values != 0 and unlikely(not has_value_of(r, rule, m.p + f.off, f.len)):
        note(bad, 4, section, f.tag, 3, FIX_BAD_VALUE)


cdef uint32_t check_group(fix_rules *r, fix_msg *m, uint32_t i, uint32_t group, uint32_t depth, fault *bad) noexcept nogil:
    """The entries behind the counter, field i; returns the first field behind the group.

    What belongs to the group is read whatever the counter says, as QuickFIX does; then they are compared.
    """
    cdef const scope *s = &r.scopes[group]
    cdef const fix_field *f = &m.fields[i]
    cdef const slot *at
    cdef uint32_t counter = f.tag, entries = 0, number = 0
    cdef uint32_t *stamps
    cdef int64_t announced = 0
    cdef bint counted = fix_digits_int(m.p + f.off, f.len, &announced) == 0     # else a wrong format, noted already
    i += 1
    if depth >= DEEPEST:
        return i
    stamps = r.stamps + depth * r.n_fields
    while i < m.count:
        f = &m.fields[i]
        at = slot_of(s, f.tag)
        if at == NULL:
            break
        if f.tag == s.delimiter or entries == 0 or (stamps[at.field] == number and r.group_order == 0):
            if f.tag != s.delimiter and r.order and entries == 0:
                note(bad, 4, 4, f.tag, 7, FIX_GROUP_ORDER)
            if entries != 0:
                check_required(r, s, stamps, number, 4, bad)
            entries += 1
            r.number += 1
            number = r.number
        elif stamps[at.field] == number:
            note(bad, 4, 4, f.tag, 8, FIX_REPEATED)
        stamps[at.field] = number
        check_field(r, m, f, at.field, 4, bad)
        if at.group != 0:
            i = check_group(r, m, i, at.group, depth + 1, bad)
        else:
            i += 1
    if entries != 0:
        check_required(r, s, stamps, number, 4, bad)
    if counted and <int64_t>entries != announced:
        note(bad, 4, BODY if depth == 1 else 4, counter, 6, FIX_GROUP_COUNT)
    return i


cdef void check_required(fix_rules *r, const scope *s, uint32_t *stamps, uint32_t number, uint64_t section,
                         fault *bad) noexcept nogil:
    """What an entry or the message must have. Entries are judged in order, an outer one before those within it."""
    cdef uint32_t k
    cdef const slot *at
    if not r.required:
        return
    for k in range(s.n_required):
        at = &s.required[k]
        if unlikely(stamps[at.field] != number):
            if section != 4:
                note(bad, 3, at.section, at.tag, 0, FIX_REQUIRED_MISSING)
            else:
                note_entry(bad, r.top, number - r.base, at.tag)


cdef int fix_check(const void *rules, fix_msg *m, uint32_t *ref_tag) noexcept nogil:
    cdef fix_rules *r = <fix_rules *>rules
    cdef const scope *s
    cdef const fix_field *f
    cdef const slot *at
    cdef uint32_t i = 0, index, section = HEADER, here, number
    cdef uint32_t *stamps = r.stamps
    cdef fault bad
    bad.key = ~<uint64_t>0
    bad.tag = 0
    bad.reason = FIX_VALID
    if unlikely(r.number > <uint32_t>0xF0000000):
        memset(r.stamps, 0, <size_t>4 * DEEPEST * r.n_fields)
        r.number = 0
    s = scope_of_type(r, m.MsgType)
    if unlikely(s == NULL):
        note(&bad, 2, 0, 35, 0, FIX_BAD_MSGTYPE)
        s = &r.scopes[1]            # header and trailer alone
    r.number += 1
    number = r.base = r.number
    while i < m.count:
        f = &m.fields[i]
        at = slot_of(s, f.tag)
        if unlikely(at == NULL):
            # a header field of another version stands in the header for QuickFIX too
            here = HEADER if is_header_tag(f.tag) and not 628 <= f.tag <= 630 else BODY       # members of NoHops
            index = field_index(r, f.tag)
            if s.transport and not r.fields[index].transport:
                index = 0
            if r.order and (section == TRAILER or (here == HEADER and section != HEADER)):
                note_order(&bad, f.tag, i)
            if here == BODY:
                section = BODY
            if index != 0:
                if stamps[index] == number:
                    note(&bad, 4, here, f.tag, 8, FIX_REPEATED)
                else:
                    check_field(r, m, f, index, here, &bad)
                stamps[index] = number
            elif f.len == 0 and r.have_values:
                note(&bad, 4, here, f.tag, 1, FIX_NO_VALUE)
            if f.tag < USER_TAGS or r.user_defined:
                if index == 0 and not (r.unknown_allowed and f.tag < USER_TAGS):
                    note(&bad, 4, here, f.tag, 4, FIX_INVALID_TAG)
                elif index != 0 and here == BODY and not r.unknown_allowed:
                    note(&bad, 4, here, f.tag, 5, FIX_NOT_IN_MESSAGE)
            i += 1
            continue
        here = at.section
        if unlikely(here != section):
            if (here == HEADER or (here == BODY and section == TRAILER)) and r.order:
                note_order(&bad, f.tag, i)
            if here != HEADER:
                section = here
        if unlikely(stamps[at.field] == number):
            note(&bad, 4, here, f.tag, 8, FIX_REPEATED)     # the first one's faults come before
        else:
            check_field(r, m, f, at.field, here, &bad)
        stamps[at.field] = number
        if at.group != 0:
            r.top = f.tag
            i = check_group(r, m, i, at.group, 1, &bad)
        else:
            i += 1
    check_required(r, s, stamps, number, 0, &bad)
    ref_tag[0] = bad.tag if bad.reason != FIX_BAD_MSGTYPE else 0
    return bad.reason


cdef const scope *scope_of_type(const fix_rules *r, uint64_t msgtype) noexcept nogil:
    cdef uint32_t i = <uint32_t>((msgtype * <uint64_t>0x9E3779B97F4A7C15) >> 40) & r.types_mask
    while r.types[i] != msgtype:
        if r.types[i] == 0:
            return NULL
        i = (i + 1) & r.types_mask
    return &r.scopes[r.type_scopes[i]] if msgtype != 0 else NULL


KINDS = {
    "INT": INT, "LENGTH": INT, "SEQNUM": INT, "TAGNUM": INT, "DAYOFMONTH": INT, "NUMINGROUP": COUNT, "FLOAT": DECIMAL,
    "PRICE": DECIMAL, "QTY": DECIMAL, "QUANTITY": DECIMAL, "AMT": DECIMAL, "PRICEOFFSET": DECIMAL, "PERCENTAGE": DECIMAL,
    "CHAR": CHAR, "BOOLEAN": BOOLEAN, "UTCTIMESTAMP": TIMESTAMP, "TIME": TIMESTAMP, "UTCTIMEONLY": TIME, "UTCDATE": DATE,
    "UTCDATEONLY": DATE, "LOCALMKTDATE": DATE, "DATE": DATE, "MONTHYEAR": MONTHYEAR,
}
SEVERAL = {"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"}
TEXTS = {
    0: "Invalid tag number", 1: "Required tag missing", 2: "Tag not defined for this message type",
    4: "Tag specified without a value", 5: "Value is incorrect (out of range) for this tag",
    6: "Incorrect data format for value", 11: "Invalid MsgType", 13: "Tag appears more than once",
    14: "Tag specified out of required order", 15: "Repeating group fields out of order",
    16: "Incorrect NumInGroup count for repeating group",
}


cdef class Validator:
    """Rules of a dictionary, and of the transport's for FIX 5.0 and later; the switches have QuickFIX's names.

    check(message) gives None or (reason, tag, text): SessionRejectReason(373), RefTagID(371) or 0, Text(58).
    """

    def __cinit__(self, dictionary, transport=None, *, bint ValidateFieldsOutOfOrder=True,
                  bint ValidateFieldsHaveValues=True, bint ValidateUserDefinedFields=True, bint AllowUnknownMsgFields=False,
                  bint ValidateRequiredFields=True, bint ValidateGroupFieldsOrder=False):
        cdef fix_rules *r = <fix_rules *>calloc(1, sizeof(fix_rules))
        if r == NULL:
            raise MemoryError
        self.rules = r
        self.dictionary = dictionary
        self.transport = transport
        r.order = ValidateFieldsOutOfOrder
        r.have_values = ValidateFieldsHaveValues
        r.user_defined = ValidateUserDefinedFields
        r.unknown_allowed = AllowUnknownMsgFields
        r.required = ValidateRequiredFields
        r.group_order = ValidateGroupFieldsOrder
        books = [dictionary] if transport is None else [dictionary, transport]
        self.data_table = fix_data_table({length: data for book in books for length, data in book.data_pairs().items()})
        self.take_fields(books)
        self.take_messages(books)

    def __dealloc__(self):
        cdef fix_rules *r = <fix_rules *>self.rules
        cdef uint32_t i
        free(self.data_table)
        if r == NULL:
            return
        if r.scopes != NULL:
            for i in range(r.n_scopes):
                free(r.scopes[i].slots)
                free(r.scopes[i].required)
        for p in (<size_t>r.field_of, <size_t>r.fields, <size_t>r.values, <size_t>r.pool, <size_t>r.scopes, <size_t>r.types,
                  <size_t>r.type_scopes, <size_t>r.stamps, <size_t>r.high_tags, <size_t>r.high_fields):
            free(<void *><size_t>p)
        free(r)

    cdef void *room(self, size_t n) except NULL:
        cdef void *p = calloc(max(n, <size_t>8), 1)
        if p == NULL:
            raise MemoryError
        return p

    cdef take_fields(self, list books):
        cdef fix_rules *r = <fix_rules *>self.rules
        cdef field_rule *rule
        cdef value_text *v
        cdef uint32_t at = 0, where = 0, i
        fields = {}
        for book in books:
            for f in book.fields.values():
                fields.setdefault(f.tag, f)
        base = books[len(books) - 1]
        old = base.version in ("FIX.4.0", "FIX.4.1")       # their CHAR fields hold more than one character
        if len(fields) > 60_000:
            raise ValueError(f"{len(fields)} fields, at most 60000 are possible")
        texts = [text.encode("latin-1") for f in fields.values() for text in f.values]
        r.n_fields = <uint32_t>len(fields) + 1
        r.fields = <field_rule *>self.room(r.n_fields * sizeof(field_rule))
        r.field_of = <uint16_t *>self.room(65536 * 2)
        r.stamps = <uint32_t *>self.room(<size_t>4 * DEEPEST * r.n_fields)
        r.values = <value_text *>self.room(len(texts) * sizeof(value_text))
        r.pool = <uint8_t *>self.room(sum(len(t) for t in texts) + 8)
        high = sorted(tag for tag in fields if tag >= 65536)
        r.n_high = <uint32_t>len(high)
        r.high_tags = <uint32_t *>self.room(4 * len(high))
        r.high_fields = <uint16_t *>self.room(2 * len(high))
        for i, f in enumerate(fields.values(), 1):
            rule = &r.fields[i]
            rule.tag = f.tag
            if f.tag < 65536:
                r.field_of[<uint32_t>f.tag] = <uint16_t>i
            else:
                where = <uint32_t>high.index(f.tag)
                r.high_tags[where] = f.tag
                r.high_fields[where] = <uint16_t>i
            rule.kind = ANY if old and f.type == "CHAR" else <uint8_t>KINDS.get(f.type, ANY)
            rule.several = f.type in SEVERAL
            rule.transport = f.tag in base.fields
            rule.values = at
            if f.tag == 35:
                continue                    # MsgType has a check of its own
            for text in f.values:
                octets = text.encode("latin-1")
                if len(octets) == 1 and octets[0] < 128:
                    rule.single[<uint32_t>octets[0] >> 6] |= <uint64_t>1 << (<uint32_t>octets[0] & 63)
                v = &r.values[at]
                v.n = <uint16_t>len(octets)
                memcpy(&v.head, <const char *>octets, min(len(octets), 8))
                v.rest = self.pooled(octets[8:])
                at += 1
            rule.n_values = <uint16_t>(at - rule.values)

    cdef uint32_t pooled(self, bytes octets) except? 0xFFFFFFFF:
        cdef uint32_t at = self.used
        memcpy((<fix_rules *>self.rules).pool + at, <const char *>octets, len(octets))
        self.used += <uint32_t>len(octets)
        return at

    cdef take_messages(self, list books):
        cdef fix_rules *r = <fix_rules *>self.rules
        cdef uint32_t bits = 1, i, k
        cdef uint64_t code
        base = books[len(books) - 1]
        header, trailer = base.header_members(), base.trailer_members()
        shapes = [None, ((), header, trailer, 0)]
        types = {}
        for book in reversed(books):
            for msgtype in book.messages:
                if 0 < len(msgtype) <= 8:
                    types[msgtype] = len(shapes)
                    shapes.append((book.members(msgtype), header, trailer, 0))
        known = {}
        done = 1
        compiled = [None]
        while done < len(shapes):       # groups found on the way are appended
            compiled.append(self.shape(shapes, known, done))
            done += 1
        r.n_scopes = <uint32_t>len(shapes)
        r.scopes = <scope *>self.room(r.n_scopes * sizeof(scope))
        for i in range(1, r.n_scopes):
            self.compile(&r.scopes[i], compiled[i], shapes[i][3])
        while (1 << bits) < 2 * len(types) + 2:
            bits += 1
        r.types_mask = (1 << bits) - 1
        r.types = <uint64_t *>self.room(8 << bits)
        r.type_scopes = <uint32_t *>self.room(4 << bits)
        for msgtype, k in types.items():
            code = int.from_bytes(msgtype.encode("latin-1"), "little")
            i = <uint32_t>((code * <uint64_t>0x9E3779B97F4A7C15) >> 40) & r.types_mask
            while r.types[i] != 0:
                i = (i + 1) & r.types_mask
            r.types[i] = code
            r.type_scopes[i] = k
            r.scopes[k].transport = len(books) > 1 and msgtype not in books[0].messages

    cdef list shape(self, list shapes, dict known, uint32_t index):
        """(tag, section, scope of its group, required) of every tag that may stand in scope `index`."""
        body, header, trailer, _ = shapes[index]
        found = {}
        for section, members in ((HEADER, header), (TRAILER, trailer), (BODY, body)):
            for m in members:
                if m.tag in found:
                    continue
                group = 0
                if m.members is not None:
                    group = known.get(m)
                    if group is None:
                        group = known[m] = len(shapes)
                        shapes.append((m.members, (), (), m.members[0].tag))
                found[m.tag] = (m.tag, section, group, m.required)
        return list(found.values())

    cdef compile(self, void *where, list entries, uint32_t delimiter):
        cdef scope *s = <scope *>where
        cdef uint32_t bits = 2, i
        cdef slot *at
        while (1 << bits) < 2 * len(entries) + 2:
            bits += 1
        s.shift = 32 - bits
        s.mask = (1 << bits) - 1
        s.delimiter = delimiter
        s.slots = <slot *>self.room(sizeof(slot) << bits)
        required = sorted((section, tag) for tag, section, _, need in entries if need)
        s.n_required = <uint32_t>len(required)
        s.required = <slot *>self.room(len(required) * sizeof(slot))
        for tag, section, group, _ in entries:
            i = (<uint32_t>tag * <uint32_t>2654435761) >> s.shift
            while s.slots[i].tag != 0:
                i = (i + 1) & s.mask
            at = &s.slots[i]
            at.tag = tag
            at.section = section
            at.group = group
            at.field = <uint16_t>field_index(<fix_rules *>self.rules, tag)
        for i, (section, tag) in enumerate(required):
            s.required[i] = slot_of(s, tag)[0]

    def check(self, Message message not None):
        """None, or (SessionRejectReason, tag or 0, text). A message with `error` is not looked into: (0, 0, error)."""
        cdef uint32_t tag = 0
        cdef int reason
        if message.m.error != 0:
            return (0, 0, message.error)
        reason = fix_check(self.rules, &message.m, &tag)
        return None if reason == FIX_VALID else (reason, tag, TEXTS[reason])

    @property
    def address(self):
        """Where the rules are, for a session's `check` (kept alive by this object)."""
        return <size_t>self.rules
