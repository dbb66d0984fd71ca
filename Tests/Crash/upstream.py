"""An upstream with answers that nobody can guess: each holds a number of its own, and the oracle is told of it."""
import itertools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECES = 4


class Upstream:
    """A chat completions server on a free port, until `close`."""

    def __init__(self, oracle, pause=0.004):
        numbers = itertools.count(1)

        class Handler(BaseHTTPRequestHandler):
            """Answers one connection."""

            protocol_version = "HTTP/1.1"

            def do_POST(self):
                """A chat completion, in pieces where it is streamed."""
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                texts = [message["content"] for message in body["messages"] if message["role"] == "user"]
                answer = f"answer {next(numbers)} to {texts[-1]}"
                oracle.upstream_was_asked(texts[-1], texts[:-1], answer)
                try:
                    self._stream(answer) if body.get("stream") else self._answer(answer)
                except OSError:
                    self.close_connection = True

            def _answer(self, answer):
                time.sleep(pause)
                message = {"role": "assistant", "content": answer}
                data = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
                    {"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, answer):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                step = max(1, len(answer) // PIECES)
                for start in range(0, len(answer), step):
                    self._event({"content": answer[start:start + step]})
                    time.sleep(pause)
                self._event({}, "stop")
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")

            def _event(self, delta, finish=None):
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
                self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

            def _chunk(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def log_message(self, *_):
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            """A server whose clients are killed all the time."""

            request_queue_size = 128

            def handle_error(self, *_):
                """Says nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
