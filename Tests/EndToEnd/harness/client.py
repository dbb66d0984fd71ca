"""An HTTP/1.1 client that sends any bytes and shows every byte of the answer."""
import socket
import struct
import time
from dataclasses import dataclass

from harness.wire import Incomplete, Message, parse_head, partial_body, read_body, value_of


@dataclass(frozen=True)
class Response(Message):
    """A response as it arrived. `complete` is false where it was cut before its end."""

    complete: bool = True

    @property
    def status(self):
        """The status code."""
        return int(self.first_line.split(" ")[1])


class Connection:
    """A connection to a server on the loopback interface. Use it as a context manager.

    `timeout` seconds bound each call. Bytes after the end of a response are kept for the next one (pipelining).
    """

    def __init__(self, port, timeout=10):
        self._timeout = timeout
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, *pieces, pause=0.001):
        """Sends each piece in a write of its own."""
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            self._socket.sendall(piece)

    def read_response(self, to="GET"):
        """The next response; `to` is the method of its request, because a HEAD has no body. Skips 1xx."""
        deadline = time.monotonic() + self._timeout
        while True:
            closed = False
            while (response := self._parse(to, closed)) is None:
                closed = not self._receive(deadline)
            if response.status >= 200:
                return response

    def read_until(self, marker):
        """All bytes received so far, as soon as they contain `marker`; they stay available for read_response."""
        deadline = time.monotonic() + self._timeout
        while marker not in self._received:
            if not self._receive(deadline):
                raise AssertionError(f"closed before {marker!r}: {bytes(self._received)!r}")
        return bytes(self._received)

    def read_to_end(self):
        """All bytes until the server closes."""
        deadline = time.monotonic() + self._timeout
        while self._receive(deadline):
            pass
        return bytes(self._received)

    def finish_sending(self):
        """Closes our half: the server sees the end of input, and may still answer."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leaves abruptly: the server gets a reset instead of an orderly close."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _receive(self, deadline):
        """Waits for more bytes; false when the server has closed."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise AssertionError(f"nothing more within {self._timeout} s after {bytes(self._received)[-200:]!r}")
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise AssertionError(f"nothing more within {self._timeout} s after {bytes(self._received)[-200:]!r}")
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)

    def _parse(self, method, closed):
        """The response at the start of what was received, or None when more is needed."""
        try:
            first_line, headers, at = parse_head(self._received)
        except Incomplete:
            if closed:
                raise AssertionError(f"closed before a response: {bytes(self._received)!r}")
            return None
        status = int(first_line.split(" ")[1])
        bodiless = method == "HEAD" or status < 200 or status in (204, 304)
        framed = value_of(headers, "Content-Length") is not None or value_of(headers, "Transfer-Encoding") is not None
        complete = True
        if bodiless:
            body, end = b"", at
        else:
            try:
                if not framed and not closed:
                    return None
                body, end = read_body(self._received, at, headers) if framed else self._rest(at)
            except Incomplete:
                if not closed:
                    return None
                body, end, complete = partial_body(self._received, at, headers), len(self._received), False
        raw = bytes(self._received[:end])
        del self._received[:end]
        return Response(first_line, headers, body, raw, complete)

    def _rest(self, at):
        return bytes(self._received[at:]), len(self._received)


def request_bytes(method, target, headers=(), body=b"", host="localhost"):
    """A request as bytes. Adds Host, and Content-Length where there is a body."""
    fields = [("Host", host), *headers]
    if body:
        fields.append(("Content-Length", len(body)))
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def exchange(port, method, target, headers=(), body=b"", timeout=10):
    """One request on a connection of its own, and its response."""
    with Connection(port, timeout) as connection:
        connection.send(request_bytes(method, target, headers, body))
        return connection.read_response(to=method)
