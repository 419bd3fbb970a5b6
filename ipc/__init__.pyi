from ipc.broadcast import Borrowed, Publisher, Subscriber
from ipc.channel import Reader, Writer
from ipc.mpsc import MpscReader, MpscWriter
from ipc.poller import Poller
from ipc.segment import Segment, SegmentError, segments
from ipc.wait import RingCorrupt

__all__ = [
    "Writer", "Reader", "MpscWriter", "MpscReader", "Publisher", "Subscriber", "Borrowed", "Poller", "Segment",
    "segments", "SegmentError", "RingCorrupt",
]
