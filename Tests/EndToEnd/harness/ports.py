"""Free TCP ports for servers that a test starts."""
import random
import socket

# Below 32768 the kernel hands out no port for outgoing connections, so a port found here stays free until it is used.
FIRST, LAST = 20_000, 32_000


def free_port():
    """A port of the loopback interface on which nothing listens."""
    for port in random.sample(range(FIRST, LAST), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
