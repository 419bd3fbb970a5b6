"""Files of a journal: segments with the ring's octets, each record sealed with CRC-32C, and the numbers in two slots.

    PREFIX.00000000000000000000.journal     64 octets of head, then records from that position on; zeros behind the last
    PREFIX.numbers                          two slots of 64 octets, written in turn; the higher generation with a good CRC counts

A file is allocated whole before its first record, so a full disk shows before a message is at stake. What a crash of the
machine leaves behind the last fdatasync is found by its CRC and left out.
"""
from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memmove, memset
from posix.fcntl cimport O_CLOEXEC, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, open as c_open, posix_fallocate
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap
from posix.unistd cimport close, fdatasync, fsync, pread, pwrite, unlink

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static uint32_t fw_crc_table[8][256];
    static void fw_crc_fill(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
            fw_crc_table[0][i] = c;
        }
        for (uint32_t i = 0; i < 256; i++)
            for (int t = 1; t < 8; t++)
                fw_crc_table[t][i] = (fw_crc_table[t - 1][i] >> 8) ^ fw_crc_table[0][fw_crc_table[t - 1][i] & 255];
    }
    static uint32_t fw_crc32c(uint32_t crc, const uint8_t *p, uint64_t n) {
        crc = ~crc;
    #if defined(__x86_64__)
        if (__builtin_cpu_supports("sse4.2")) {
            uint64_t x, c = crc;
            for (; n >= 8; n -= 8, p += 8) { memcpy(&x, p, 8); __asm__("crc32q %1, %0" : "+r"(c) : "rm"(x)); }
            crc = (uint32_t)c;
        }
    #endif
        for (; n >= 8; n -= 8, p += 8) {
            uint64_t x;
            memcpy(&x, p, 8);
            x ^= crc;
            crc = fw_crc_table[7][x & 255] ^ fw_crc_table[6][x >> 8 & 255] ^ fw_crc_table[5][x >> 16 & 255]
                ^ fw_crc_table[4][x >> 24 & 255] ^ fw_crc_table[3][x >> 32 & 255] ^ fw_crc_table[2][x >> 40 & 255]
                ^ fw_crc_table[1][x >> 48 & 255] ^ fw_crc_table[0][x >> 56];
        }
        for (; n; n--, p++) crc = (crc >> 8) ^ fw_crc_table[0][(crc ^ *p) & 255];
        return ~crc;
    }
    """
    void crc_fill "fw_crc_fill"() noexcept nogil
    uint32_t crc_c "fw_crc32c"(uint32_t crc, const uint8_t *p, uint64_t n) noexcept nogil

crc_fill()

cdef enum:
    SLOT = 64
    SEGMENT_MAGIC = 0x31475346          # "FSG1"


cdef struct segment_head:
    uint32_t magic
    uint32_t crc                        # of this head with crc 0
    uint64_t stream
    uint64_t start
    uint64_t size


cdef struct numbers_slot:
    uint64_t generation
    uint64_t stream
    uint64_t at                         # the numbers were these when the journal ended here
    fix_numbers numbers
    uint32_t crc
    uint32_t zero


cdef uint32_t crc32c(uint32_t crc, const uint8_t *p, uint64_t n) noexcept nogil:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4) of n octets, continuing `crc` (0 to begin)."""
    return crc_c(crc, p, n)


def checksum(data, crc=0):
    """CRC-32C of octets, for tests and tools."""
    cdef const uint8_t[::1] view = data
    return crc_c(crc, &view[0] if view.shape[0] else NULL, view.shape[0])


cdef uint32_t record_crc(journal_record *r) noexcept nogil:
    cdef uint32_t kept = r.crc, crc
    r.crc = 0
    crc = crc_c(0, <const uint8_t *>r, JOURNAL_HEAD + (0 if r.kind != JOURNAL_MESSAGE else r.n))
    r.crc = kept
    return crc


cdef void record_seal(journal_record *r) noexcept nogil:
    if r.kind != JOURNAL_PAD:
        r.crc = record_crc(r)


cdef bint record_is_good(journal_record *r, uint64_t left) noexcept nogil:
    """Is there a whole, sealed record in the `left` octets at r? Works on a copy's octets only while it looks."""
    cdef journal_record head
    cdef uint32_t crc
    if left < 8:
        return False
    if r.kind == JOURNAL_PAD:
        return 8 <= r.n <= left and r.n % 8 == 0
    if left < JOURNAL_HEAD or (r.kind != JOURNAL_MESSAGE and r.kind != JOURNAL_ADMIN and r.kind != JOURNAL_NUMBERS):
        return False
    if record_step(r) > left or r.n > RECORD_MAX or (r.kind != JOURNAL_MESSAGE and r.n != 0):
        return False
    memcpy(&head, r, JOURNAL_HEAD)
    head.crc = 0
    crc = crc_c(0, <const uint8_t *>&head, JOURNAL_HEAD)
    return crc_c(crc, <const uint8_t *>r + JOURNAL_HEAD, r.n) == r.crc


# --- segments

cdef void segment_name(const segment_set *set, uint64_t start, char *name, uint32_t room) noexcept nogil:
    snprintf(name, room, b"%s.%020llu.journal", set.prefix, <unsigned long long>start)


cdef int write_all(int fd, const uint8_t *p, uint64_t n, uint64_t offset) noexcept nogil:
    cdef ssize_t done
    while n > 0:
        done = pwrite(fd, p, n, <off_t>offset)
        if done < 0:
            if errno == EINTR:
                continue
            return errno
        p += done
        n -= <uint64_t>done
        offset += <uint64_t>done
    return 0


cdef int sync_directory(const segment_set *set) noexcept nogil:
    """Make a new name survive a crash of the machine."""
    cdef char[1024] path
    cdef int i = 0, slash = -1, fd, wrong = 0
    while set.prefix[i] != 0 and i < 1023:
        path[i] = set.prefix[i]
        if path[i] == c'/':
            slash = i
        i += 1
    if slash <= 0:
        return 0
    path[slash] = 0
    fd = c_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return errno
    if fsync(fd) < 0:
        wrong = errno
    close(fd)
    return wrong


cdef int segment_map(segment_set *set, segment *g, int fd) noexcept nogil:
    cdef void *p = mmap(NULL, SEGMENT_HEAD + set.size, PROT_READ, MAP_SHARED, fd, 0)
    if p == MAP_FAILED:
        return errno
    g.map = <uint8_t *>p
    return 0


cdef int segment_adopt(segment_set *set, const char *name, uint64_t start, bint last) noexcept nogil:
    """Take up a segment found on disk; -> 0, or an errno, or -1: not a segment of this journal."""
    cdef segment_head head
    cdef segment *g
    cdef uint32_t crc
    cdef int fd, wrong
    if set.count >= SEGMENTS_MAX:
        return -1
    fd = c_open(name, (O_RDWR if last else O_RDONLY) | O_CLOEXEC)
    if fd < 0:
        return errno
    if pread(fd, &head, sizeof(head), 0) != sizeof(head):
        close(fd)
        return -1
    crc = head.crc
    head.crc = 0
    if head.magic != SEGMENT_MAGIC or crc_c(0, <const uint8_t *>&head, sizeof(head)) != crc or head.start != start or \
            (set.stream != 0 and head.stream != set.stream):
        close(fd)
        return -1
    if set.count != 0 and head.size != set.size:
        close(fd)
        return -1
    set.stream = head.stream
    set.size = head.size
    g = &set.at[set.count]
    g.start = g.end = start
    wrong = segment_map(set, g, fd)
    if wrong != 0:
        close(fd)
        return wrong
    g.fd = fd if last else -1
    if not last:
        close(fd)
    set.count += 1
    return 0


cdef void segment_walk(segment_set *set, uint32_t i, uint64_t kept) noexcept nogil:
    """Find the end of what is whole in segment i. What begins at position `kept` or later is still in the ring:
    a write cut short there by a kill is no damage."""
    cdef segment *g = &set.at[i]
    cdef uint64_t limit = set.size
    cdef journal_record *r
    g.end = g.start
    while g.end - g.start < limit:
        r = <journal_record *>(g.map + SEGMENT_HEAD + (g.end - g.start))
        if not record_is_good(r, limit - (g.end - g.start)):
            if r.kind != 0 and g.end < kept:
                set.damaged += 1
            return
        g.end += record_step(r)


cdef int segments_rotate(segment_set *set, uint64_t at) noexcept nogil:
    """A new last segment whose records begin at position `at`; the one before is on disk when this returns 0."""
    cdef char[1100] name
    cdef segment_head head
    cdef segment *g
    cdef int fd, wrong
    if set.count >= SEGMENTS_MAX:
        segments_prune(set)
        if set.count >= SEGMENTS_MAX:
            return EIO
    if set.count != 0 and set.at[set.count - 1].fd >= 0 and fdatasync(set.at[set.count - 1].fd) < 0:
        return errno
    segment_name(set, at, name, sizeof(name))
    fd = c_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if fd < 0:
        return errno
    wrong = posix_fallocate(fd, 0, SEGMENT_HEAD + <off_t>set.size)
    memset(&head, 0, sizeof(head))
    head.magic = SEGMENT_MAGIC
    head.stream = set.stream
    head.start = at
    head.size = set.size
    head.crc = crc_c(0, <const uint8_t *>&head, sizeof(head))
    if wrong == 0:
        wrong = write_all(fd, <const uint8_t *>&head, sizeof(head), 0)
    if wrong == 0 and fsync(fd) < 0:
        wrong = errno
    g = &set.at[set.count]
    if wrong == 0:
        wrong = segment_map(set, g, fd)
    if wrong != 0:
        close(fd)
        unlink(name)
        return wrong
    if set.count != 0 and set.at[set.count - 1].fd >= 0:
        close(set.at[set.count - 1].fd)
        set.at[set.count - 1].fd = -1
    g.start = g.end = at
    g.fd = fd
    pthread_mutex_lock(&set.lock)
    set.count += 1
    pthread_mutex_unlock(&set.lock)
    return sync_directory(set)


cdef int segments_write(segment_set *set, uint64_t at, const uint8_t *p, uint64_t n) noexcept nogil:
    """Whole records at position `at`, the end of the last segment, in which there is room for them."""
    cdef segment *g = &set.at[set.count - 1]
    cdef int wrong = write_all(g.fd, p, n, SEGMENT_HEAD + (at - g.start))
    if wrong == 0:
        g.end = at + n
    return wrong


cdef int segments_sync(segment_set *set) noexcept nogil:
    if set.count != 0 and set.at[set.count - 1].fd >= 0 and fdatasync(set.at[set.count - 1].fd) < 0:
        return errno
    return 0


cdef void segments_prune(segment_set *set) noexcept nogil:
    """Delete the oldest segments beyond `keep`."""
    cdef char[1100] name
    cdef segment oldest
    while set.count > set.keep and set.count > 1:
        oldest = set.at[0]
        pthread_mutex_lock(&set.lock)
        set.count -= 1
        memmove(&set.at[0], &set.at[1], set.count * sizeof(segment))
        pthread_mutex_unlock(&set.lock)
        segment_name(set, oldest.start, name, sizeof(name))
        munmap(oldest.map, SEGMENT_HEAD + set.size)
        unlink(name)
        set.pruned += 1


cdef uint64_t segments_seal(segment_set *set) noexcept nogil:
    """Nothing more is written behind the last segment's whole records; -> where they end.

    What a crashed machine left behind them must not be met again behind new ones: those get a segment of their own.
    """
    cdef char[1100] name
    cdef segment *g = &set.at[set.count - 1]
    cdef uint64_t end = g.end
    if g.fd >= 0:
        close(g.fd)
        g.fd = -1
    if g.end == g.start:
        munmap(g.map, SEGMENT_HEAD + set.size)
        segment_name(set, g.start, name, sizeof(name))
        unlink(name)
        set.count -= 1
    return end


cdef void segments_cut(segment_set *set, uint64_t at) noexcept nogil:
    """What is on disk from position `at` on is in the ring too, and will be written again."""
    cdef char[1100] name
    cdef segment *g
    while set.count != 0 and set.at[set.count - 1].start > at:
        g = &set.at[set.count - 1]
        munmap(g.map, SEGMENT_HEAD + set.size)
        if g.fd >= 0:
            close(g.fd)
        segment_name(set, g.start, name, sizeof(name))
        unlink(name)
        set.count -= 1
    if set.count != 0 and set.at[set.count - 1].end > at:
        set.at[set.count - 1].end = at


cdef void segments_close(segment_set *set) noexcept nogil:
    cdef uint32_t i
    for i in range(set.count):
        munmap(set.at[i].map, SEGMENT_HEAD + set.size)
        if set.at[i].fd >= 0:
            close(set.at[i].fd)
    set.count = 0
    if set.numbers_fd >= 0:
        close(set.numbers_fd)
    set.numbers_fd = -1


cdef const uint8_t *segments_at(segment_set *set, uint64_t at, uint64_t n) noexcept nogil:
    """The n octets at position `at`, or NULL: pruned, or never written. To be called, and used, with the lock held."""
    cdef uint32_t i = set.count
    while i > 0:
        i -= 1
        if set.at[i].start <= at:
            if at + n > set.at[i].end:
                return NULL
            return set.at[i].map + SEGMENT_HEAD + (at - set.at[i].start)
    return NULL


# --- numbers

cdef int numbers_open(segment_set *set) noexcept nogil:
    cdef char[1100] name
    snprintf(name, sizeof(name), b"%s.numbers", set.prefix)
    set.numbers_fd = c_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    return errno if set.numbers_fd < 0 else 0


cdef uint32_t slot_crc(numbers_slot *slot) noexcept nogil:
    cdef uint32_t kept = slot.crc, crc
    slot.crc = 0
    crc = crc_c(0, <const uint8_t *>slot, sizeof(numbers_slot))
    slot.crc = kept
    return crc


cdef int numbers_write(segment_set *set, const fix_numbers *numbers, uint64_t at) noexcept nogil:
    """Into the slot that is not the newest, so that a crash leaves one of them."""
    cdef numbers_slot slot
    cdef int wrong
    memset(&slot, 0, sizeof(slot))
    slot.generation = set.generation + 1
    slot.stream = set.stream
    slot.at = at
    slot.numbers = numbers[0]
    slot.crc = slot_crc(&slot)
    wrong = write_all(set.numbers_fd, <const uint8_t *>&slot, sizeof(slot), (slot.generation & 1) * SLOT)
    if wrong == 0 and fdatasync(set.numbers_fd) < 0:
        wrong = errno
    if wrong == 0:
        set.generation = slot.generation
    return wrong


cdef bint numbers_read(segment_set *set, fix_numbers *numbers, uint64_t *at) noexcept nogil:
    """The newest numbers with a good CRC; False: none."""
    cdef numbers_slot slot
    cdef bint found = False
    cdef int i
    for i in range(2):
        if pread(set.numbers_fd, &slot, sizeof(slot), i * SLOT) != sizeof(slot) or slot_crc(&slot) != slot.crc:
            continue
        if slot.stream == set.stream and slot.generation >= set.generation:
            set.generation = slot.generation
            numbers[0] = slot.numbers
            at[0] = slot.at
            found = True
    return found
