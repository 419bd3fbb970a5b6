"""iceoryx2 from Python as bench/ipc.py measures ours: 64-octet messages from a process on core 1 to one on core 0, each
written and checked. Prints ns a message. Needs the package iceoryx2.
"""
import ctypes
import os
import time

import iceoryx2 as iox

N = 100_000


class Message(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 7)]


def service(name):
    node = iox.NodeBuilder.new().create(iox.ServiceType.Ipc)
    return node, (node.service_builder(iox.ServiceName.new(name)).publish_subscribe(Message).enable_safe_overflow(False)
                  .subscriber_max_buffer_size(4096).open_or_create())


def produce(name):
    _, there = service(name)
    publisher = there.publisher_builder().backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered).create()
    while there.dynamic_config.number_of_subscribers == 0:
        pass
    message = Message()
    for k in range(N):
        message.number = k
        publisher.loan_uninit().write_payload(message).send()
    while there.dynamic_config.number_of_subscribers:
        pass                                # what it lent must live until it was taken


def main():
    name = f"fixwire-bench-{os.getpid()}"
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {1})
        try:
            produce(name)
        finally:
            os._exit(0)
    os.sched_setaffinity(0, {0})
    _, there = service(name)
    subscriber = there.subscriber_builder().buffer_size(4096).create()
    got = begun = 0
    while got < N:
        sample = subscriber.receive()
        if sample is None:
            continue
        begun = begun or time.perf_counter_ns()
        if sample.payload().contents.number != got:
            raise SystemExit("a message was wrong")
        got += 1
        sample.delete()
    print((time.perf_counter_ns() - begun) / (N - 1))
    subscriber.delete()
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
