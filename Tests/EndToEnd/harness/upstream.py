"""An upstream that does exactly what a test tells it, and remembers exactly what it was sent."""
import asyncio
import socket
import struct
import threading
from dataclasses import dataclass, field

from harness.answers import Answer, Ending, error_answer
from harness.wire import Incomplete, Message, parse_head, parse_message, value_of

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Request(Message):
    """A request as it arrived. `client_left` is set when the client closes while it is being answered."""

    connection: int = 0
    client_left: threading.Event = field(default_factory=threading.Event)

    @property
    def method(self):
        """The method, such as POST."""
        return self.first_line.split(" ")[0]

    @property
    def target(self):
        """The request target, with its query, as it was sent."""
        return self.first_line.split(" ")[1]


class ScriptedUpstream:
    """An HTTP/1.1 server on the loopback interface, on a thread of its own.

    `on(path, answer, …)` scripts the answers to a path: each is used once, the last one again and again. An answer may
    be a function of the request. What is not scripted is a 404 that says so. With an `ssl.SSLContext` it speaks TLS. Use
    it as a context manager.
    """

    def __init__(self, port, tls=None):
        self.port, self._tls = port, tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
        self.requests = []
        self._scripts = {}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="scripted upstream", daemon=True)
        self._listening = threading.Event()
        self._connections = {}
        self._accepted = 0

    def on(self, path, *answers):
        """Scripts the answers to requests whose target, without its query, is `path`."""
        with self._changed:
            self._scripts[path] = list(answers)
        return self

    def wait_for_requests(self, count, timeout=10):
        """The first `count` requests, as soon as they have arrived completely."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise AssertionError(f"{len(self.requests)} of {count} requests within {timeout} s")
            return self.requests[:count]

    def __enter__(self):
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError(f"the scripted upstream does not listen on port {self.port}")
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(10)

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 20, ssl=self._tls)
        self._stopped = asyncio.Event()
        self._listening.set()
        await self._stopped.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _stop(self):
        self._stopped.set()

    async def _accept(self, reader, writer):
        self._accepted += 1
        task = asyncio.current_task()
        self._connections[task] = writer
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._converse(Connection(reader, writer, self._accepted))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            del self._connections[task]
            writer.close()

    async def _converse(self, connection):
        while (request := await connection.next_request()) is not None:
            answer = self._record(request)
            if await connection.send(answer, request) is not Ending.KEEP:
                return

    def _record(self, request):
        """Remembers the request and chooses its answer."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            script = self._scripts.get(request.target.split("?")[0])
            if not script:
                return error_answer(404, f"not scripted: {request.first_line}")
            answer = script.pop(0) if len(script) > 1 else script[0]
        return answer if isinstance(answer, Answer) else answer(request)


class Connection:
    """One connection of a client: what it sent so far, and the way back."""

    def __init__(self, reader, writer, number):
        self._reader, self._writer, self._number = reader, writer, number
        self._received = bytearray()

    async def next_request(self):
        """The next complete request, or None when the client has closed. Answers `Expect: 100-continue`."""
        invited = False
        while True:
            try:
                message = parse_message(self._received)
            except Incomplete:
                invited = invited or self._invite()
                if not await self._receive():
                    return None
                continue
            del self._received[: len(message.raw)]
            return Request(message.first_line, message.headers, message.body, message.raw, self._number)

    def _invite(self):
        """Sends 100 Continue once the head that asks for it is complete; says whether it did."""
        try:
            _, headers, _ = parse_head(self._received)
        except Incomplete:
            return False
        if (value_of(headers, "Expect") or "").lower() != "100-continue":
            return False
        self._writer.write(CONTINUE)
        return True

    async def read(self):
        """What comes next, as it comes."""
        return await self._reader.read(1 << 16)

    def write(self, data):
        """Sends `data`."""
        self._writer.write(data)

    async def _receive(self):
        data = await self.read()
        self._received += data
        return bool(data)

    async def send(self, answer, request):
        """Sends the answer and returns its ending. While it does, it watches whether the client leaves."""
        watch = asyncio.create_task(self._watch(request))
        try:
            while answer.gate and not answer.gate.is_set():
                await asyncio.sleep(0.005)
            for number, piece in enumerate(answer.pieces):
                if number:
                    await asyncio.sleep(answer.pause)
                self._writer.write(piece)
                await self._writer.drain()
            await self._end(answer.ending, watch)
        except ConnectionError:
            # The write has noticed it before the watch did.
            request.client_left.set()
            raise
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return Ending.CLOSE if request.client_left.is_set() else answer.ending

    async def _watch(self, request):
        try:
            while await self._receive():
                pass
        finally:
            if not asyncio.current_task().cancelling():
                request.client_left.set()

    async def _end(self, ending, watch):
        if ending is Ending.STALL:
            await asyncio.gather(watch, return_exceptions=True)
        elif ending is Ending.RESET:
            linger_zero = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
