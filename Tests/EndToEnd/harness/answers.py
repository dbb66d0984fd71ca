"""What a scripted upstream sends: bytes in pieces, and what happens after the last one."""
import enum
import gzip
import json
import threading
from dataclasses import dataclass, replace


class Ending(enum.Enum):
    """What the upstream does after the last byte that it was told to send."""

    KEEP = "keeps the connection open for the next request"
    CLOSE = "closes the connection"
    RESET = "resets the connection"
    STALL = "sends nothing more until the client leaves or the test ends"


@dataclass(frozen=True)
class Answer:
    """A complete or deliberately broken HTTP response.

    Each piece is written on its own; `pause` seconds lie between two of them, so that they arrive as separate reads: 1,000 pieces take a little more than a second.
    Nothing is written before `gate` is set, if there is one.
    """

    pieces: tuple
    ending: Ending = Ending.KEEP
    pause: float = 0.001
    gate: threading.Event | None = None

    @property
    def data(self):
        """All bytes of the response, head included."""
        return b"".join(self.pieces)

    def whole(self):
        """The same bytes in one write."""
        return replace(self, pieces=(self.data,))

    def byte_by_byte(self):
        """The same bytes, each in a write of its own."""
        return replace(self, pieces=in_pieces(self.data, 1))

    def cut_at(self, count, ending=Ending.CLOSE):
        """Only the first `count` bytes, head included, then `ending`."""
        kept, left = [], count
        for piece in self.pieces:
            if left <= 0:
                break
            kept.append(piece[:left])
            left -= len(piece)
        return replace(self, pieces=tuple(kept), ending=ending)

    def stalled_at(self, count):
        """Only the first `count` bytes, head included, then silence."""
        return self.cut_at(count, Ending.STALL)

    def then(self, ending):
        """The same bytes with another ending."""
        return replace(self, ending=ending)


def in_pieces(data, size):
    """`data` in pieces of `size` bytes; the last one may be shorter."""
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def head(status, headers, reason="Scripted"):
    """A response head from a status and (name, value) pairs, in their order and case."""
    lines = [f"HTTP/1.1 {status} {reason}"] + [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data):
    """`data` as one chunk of the chunked transfer encoding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def body_answer(body, status=200, content_type="application/json", headers=()):
    """A response with a Content-Length."""
    fields = [("Content-Type", content_type), ("Content-Length", len(body)), *headers]
    return Answer((head(status, fields), body) if body else (head(status, fields),))


def json_answer(value, status=200, headers=()):
    """A JSON response."""
    return body_answer(json.dumps(value, ensure_ascii=False).encode(), status, headers=headers)


def error_answer(status, message="scripted error", headers=()):
    """An error in OpenAI's envelope."""
    error = {"message": message, "type": "scripted", "param": None, "code": None}
    return json_answer({"error": error}, status, headers)


def gzip_answer(body, content_type="application/json", headers=()):
    """A response whose body is compressed with gzip; the bytes are the same on every call."""
    return body_answer(gzip.compress(body, mtime=0), 200, content_type, [("Content-Encoding", "gzip"), *headers])


def empty_answer(status=204, headers=()):
    """A response that has no body by its status."""
    return Answer((head(status, headers),))


def sse_event(value):
    """One server-sent event: a JSON value, or a text such as [DONE] as it is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def chunked_answer(chunks, content_type="text/event-stream", headers=()):
    """A chunked response; every element of `chunks` is one chunk in a write of its own, the end another."""
    fields = [("Content-Type", content_type), ("Transfer-Encoding", "chunked"), *headers]
    return Answer((head(200, fields), *(chunk(data) for data in chunks), b"0\r\n\r\n"))


def sse_answer(events, split="events", headers=()):
    """A stream of server-sent events, given as bytes each.

    `split` says how the events lie in chunks: "events" (one each), "joined" (all in one), "bytes" (one byte each).
    """
    data = b"".join(events)
    chunks = {"events": tuple(events), "joined": (data,), "bytes": in_pieces(data, 1)}[split]
    return chunked_answer(chunks, headers=headers)
