"""A load balancer that knows nothing: each new connection goes to the next server, and only to that."""
import itertools
import socket
import threading

from harness.ports import free_port


class Balancer:
    """Relays bytes between clients and servers on the loopback interface, in turn. Use it as a context manager."""

    def __init__(self, ports):
        self.port, self._ports, self._lock = free_port(), itertools.cycle(ports), threading.Lock()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", next(self._ports)))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=relay, args=(source, target), daemon=True).start()


def relay(source, target):
    """Passes on bytes until the end of the source, then the end."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side has left: the other one is told.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
