"""Clients that hold conversations, lose their connections, leave in the middle, and go on."""
import contextlib
import http.client
import itertools
import json
import random
import threading
import time

PATIENCE = 20
numbers = itertools.count(1)


class Client(threading.Thread):
    """Talks in one session until it is told to stop; what it saw goes to the oracle.

    `whole` clients send everything that they have seen so far, as most SDK users do; the others only what is new.
    `leaves` is how often they hang up before the end.
    """

    def __init__(self, oracle, session, port, key, whole, seed, leaves=0.05):
        super().__init__(daemon=True)
        self._oracle, self._session, self._port, self._key = oracle, session, port, key
        self._whole, self._leaves, self._random = whole, leaves, random.Random(seed)
        self._stopping, self._may_begin = threading.Event(), threading.Event()
        self._may_begin.set()
        self._view = []
        self.statuses = {}

    def stop(self):
        """After the turn that is under way."""
        self._stopping.set()

    def pause(self):
        """Begins no further turn until `resume`."""
        self._may_begin.clear()

    def resume(self):
        """Goes on after `pause`."""
        self._may_begin.set()

    def run(self):
        while not self._stopping.is_set():
            if self._may_begin.wait(0.1) and not self._take_turn():
                # Whatever is wrong with the server, a client does not hammer it.
                self._stopping.wait(0.02 + 0.05 * self._random.random())

    def _take_turn(self):
        turn = self._oracle.send(self._session, f"q{next(numbers)} {self._session.name}")
        question = {"role": "user", "content": turn.text}
        streamed = self._random.random() < 0.5
        body = {"model": "m", "stream": streamed, "messages": [*(self._view if self._whole else []), question]}
        answer = None
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {
                "Authorization": f"Bearer {self._key}", "Content-Type": "application/json",
                "X-Session-ID": self._session.name})
            response = connection.getresponse()
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
            leaves = self._random.random() < self._leaves
            if response.status == 200 and not leaves:
                answer = streamed_answer(response) if streamed else whole_answer(response)
            elif leaves:
                response.read(self._random.randrange(1, 60))
            else:
                response.read()
        except (OSError, http.client.HTTPException, ValueError):
            answer = None
        finally:
            connection.close()
        if answer is None:
            return False
        self._oracle.end(turn, answer)
        self._view += [question, {"role": "assistant", "content": answer}]
        return True


def whole_answer(response):
    """The answer of a complete JSON body; an error for any other."""
    return json.loads(response.read())["choices"][0]["message"]["content"]


def streamed_answer(response):
    """The text of a stream whose finish reason was seen: clients stop there. None if it never came."""
    text = ""
    for line in iter(response.readline, b""):
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            return None
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                return text
    return None


def talk(clients, seconds):
    """Lets clients talk for a while."""
    for client in clients:
        client.start()
    time.sleep(seconds)


@contextlib.contextmanager
def silence(clients):
    """Nobody begins a turn within the body."""
    for client in clients:
        client.pause()
    try:
        yield
    finally:
        for client in clients:
            client.resume()


def finish(clients):
    """Stops clients and waits for what they have under way."""
    for client in clients:
        client.stop()
    for client in clients:
        client.join(2 * PATIENCE)
        if client.is_alive():
            raise AssertionError("a client got neither an answer nor an end")
