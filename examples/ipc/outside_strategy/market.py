"""A gateway with a desk for one outside strategy, and an exchange that fills everything, over a pair. Ctrl-C ends it."""
import argparse
import threading

from dpdk_py import open_device
from gateway import Desk, Engine
from gateway.exchange import SimulatedExchange


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--directory", help="where the shared memory is (/dev/shm)")
    a = p.parse_args()
    near, far = open_device("pair")
    with near, far, Engine(near, "10.0.0.1/24", idle="yield") as gateway, Engine(far, "10.0.0.2/24") as venue, \
            Desk("demo", [{"name": "buyer", "on_death": "cancel"}], directory=a.directory) as desk:
        gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9876,
                            strategy=gateway.add_strategy(desk))
        venue.add_session("VENUE", "GATEWAY", role="acceptor", port=9876, strategy=venue.add_strategy(SimulatedExchange()))
        desk.open()
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(1):
                gateway.submit(lambda: print("demo.buyer:", desk.stats()["buyer"], flush=True))
        threading.Thread(target=tell, daemon=True).start()
        print("open: fixwire strategy run buyer.py:Buyer --connect demo.buyer", flush=True)
        gateway.run(beside=venue)
        ended.set()
        print("accounts:", desk.stats()["buyer"])


if __name__ == "__main__":
    main()
