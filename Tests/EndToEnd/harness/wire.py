"""HTTP/1.1 messages as bytes: just enough to read one exactly, without hiding anything."""
import json
from dataclasses import dataclass


class Incomplete(Exception):
    """The bytes end before the message does."""


def parse_head(data):
    """(first line, [(name, value)], length of the head) of a message that begins `data`."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise Incomplete("no end of the head")
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return first, headers, end + 4


def value_of(headers, name):
    """The value of the first header called `name`, without regard to case, or None."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def read_chunked(data, at):
    """(decoded body, position after it) of a chunked body that begins at `at`; trailers are skipped."""
    body = bytearray()
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            raise Incomplete("no end of a chunk's size")
        size = int(data[at:line_end].split(b";")[0], 16)
        at = line_end + 2
        if size == 0:
            return bytes(body), end_of_trailers(data, at)
        if len(data) < at + size + 2:
            raise Incomplete("a chunk is cut")
        body += data[at : at + size]
        at += size + 2


def partial_body(data, at, headers):
    """What has arrived of a body that was cut, without transfer encoding."""
    if (value_of(headers, "Transfer-Encoding") or "").lower() != "chunked":
        return bytes(data[at:])
    body = bytearray()
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line_end].split(b";")[0], 16)
        body += data[line_end + 2 : line_end + 2 + size]
        at = line_end + size + 4
    return bytes(body)


def end_of_trailers(data, at):
    """The position after the empty line that ends a chunked body."""
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            raise Incomplete("no end of the trailers")
        if line_end == at:
            return at + 2
        at = line_end + 2


def read_body(data, at, headers):
    """(decoded body, position after it) of the body that `headers` announce; none announced is an empty one."""
    if (value_of(headers, "Transfer-Encoding") or "").lower() == "chunked":
        return read_chunked(data, at)
    length = int(value_of(headers, "Content-Length") or 0)
    if len(data) < at + length:
        raise Incomplete("the body is cut")
    return bytes(data[at : at + length]), at + length


@dataclass(frozen=True)
class Message:
    """A request or response: `raw` is exactly what came over the wire, `body` is without transfer encoding."""

    first_line: str
    headers: list
    body: bytes
    raw: bytes

    def header(self, name):
        """The value of a header, or None."""
        return value_of(self.headers, name)

    def json(self):
        """The body as a JSON value."""
        return json.loads(self.body)


def parse_message(data):
    """The message that begins `data`; `Incomplete` while its end is missing."""
    first_line, headers, at = parse_head(data)
    body, end = read_body(data, at, headers)
    return Message(first_line, headers, body, bytes(data[:end]))
