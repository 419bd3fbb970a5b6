"""kill -9 of a gateway under traffic: who dies where, who goes on, and who judges.

    process     the gateway: Engine, Journal, AF_PACKET; one forked process a life, dying where its plan says
    peer        the other side, which survives: a FIX session of its own over kernel sockets, nothing of ours in it
    judge       what must hold in the peer's record of the wire and in the application's notes
    driver      life after life in the peer's namespace; `python -m tests.crash` is the soak
"""
