"""Free TCP ports for servers that a test starts."""
import os
import random
import re
import socket
import threading

# Below 32768 the kernel hands out no port for outgoing connections, so a port found here stays free until it is used.
FIRST, LAST = 20_000, 32_000


def own_range():
    """The ports that are this process' own: where tests run in several, each has a part that it shares with none."""
    worker = re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", ""))
    if not worker:
        return range(FIRST, LAST)
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    return range(FIRST, LAST)[int(worker[1])::workers]


def unused():
    """The ports of this process in a random order, each once: none is handed out again before all have been."""
    while True:
        ports = own_range()
        yield from random.sample(ports, len(ports))


_unused, _lock = unused(), threading.Lock()


def free_port():
    """A port of the loopback interface on which nothing listens."""
    for _ in range(200):
        with _lock:
            port = next(_unused)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
