"""epoll of a script: which descriptors are watched for what, level and edge.

An edge is text that has come since the last report, or an event that was not there then; one edge reports everything that
is ready, as Linux does.
"""
from __future__ import annotations

EVENTS = {"EPOLLIN": "POLLIN", "EPOLLOUT": "POLLOUT", "EPOLLERR": "POLLERR", "EPOLLHUP": "POLLHUP",
          "EPOLLRDHUP": "POLLRDHUP"}
FLAGS = {"EPOLLET", "EPOLLONESHOT", "EPOLLEXCLUSIVE", "EPOLLWAKEUP"}
ALWAYS = {"POLLERR", "POLLHUP"}


class Watch:
    def __init__(self, wanted):
        self.asked = {EVENTS[word] for word in wanted if word in EVENTS}
        self.edge = "EPOLLET" in wanted
        self.once = "EPOLLONESHOT" in wanted
        self.armed = True
        self.seen = set()           # what was ready at the last look
        self.octets = 0             # what had come by then

    def report(self, ready, octets):
        """The events to report now."""
        ready = ready & (self.asked | ALWAYS)
        news = ready - self.seen or octets > self.octets
        self.seen, self.octets = ready, octets
        if not ready or not self.armed or (self.edge and not news):
            return set()
        self.armed = not self.once
        return ready


class Epoll:
    conn = listener = None          # what a Socket has

    def __init__(self):
        self.watched = {}           # descriptor: Watch, in the order they were added

    def control(self, what, fd, wanted):
        """errno or None."""
        if (what == "EPOLL_CTL_ADD") == (fd in self.watched):
            return "EEXIST" if fd in self.watched else "ENOENT"
        if what == "EPOLL_CTL_DEL":
            del self.watched[fd]
        else:
            self.watched[fd] = Watch(wanted)
        return None

    def wait(self, most, look):
        """[(descriptor, events)], at most `most`; look(fd) gives (what is ready, octets that have ever come), or None."""
        out = []
        for fd, watch in self.watched.items():
            found = look(fd)
            if found is not None and len(out) < most and (events := watch.report(*found)):
                out.append((fd, {"E" + name for name in events}))
        return out
