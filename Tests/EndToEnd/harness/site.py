"""A gateway before a scripted upstream, and users with keys: what most tests talk to."""
import itertools
import json
import threading
from urllib.parse import quote

from harness import chat
from harness.answers import Answer, json_answer, sse_answer
from harness.client import Connection, exchange, request_bytes
from harness.gateway import Gateway, answers, run
from harness.pages import error_statuses
from harness.ports import free_port
from harness.upstream import ScriptedUpstream
from harness.waiting import eventually

CHAT = "/v1/chat/completions"
SESSIONS = "/v1/chat/sessions"
PROVIDER_KEY = "sk-provider-canary-5b1f"
numbers = itertools.count(1)


def fresh(kind):
    """A name that no other test uses."""
    return f"{kind}-{next(numbers)}"


class Site:
    """The gateway, its upstream, and the keys of its users. Use it as a context manager.

    `provider` adds to the scripted provider's configuration, `providers` are further ones, and the other settings are
    top-level keys. The upstream answers a chat request by what was scripted for its model, else with `reply`.
    """

    def __init__(self, directory, provider=None, providers=None, **settings):
        self.directory, self._settings = directory, settings
        self.upstream = ScriptedUpstream(free_port()).on(CHAT, self._answer)
        scripted = {"base_url": self.upstream.url, "api_key": PROVIDER_KEY, **(provider or {})}
        self._providers = {"scripted": scripted, **(providers or {})}
        self._settings.setdefault("default_provider", "scripted")
        self._lock, self._scripts, self._sent, self._keys = threading.Lock(), {}, {}, {}
        self._contract = None

    def __enter__(self):
        self.upstream.__enter__()
        try:
            self.start()
        except BaseException:
            self.upstream.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.upstream.__exit__()

    def start(self, **more):
        """Starts the gateway, after its end on the same database; `more` are further settings."""
        settings = {**self._settings, **more}
        self.gateway = Gateway(self.directory, self._providers, **settings)
        # The two listeners open at the same time, in any order.
        if "admin" not in settings.get("server", {}):
            eventually(lambda: answers(f"http://127.0.0.1:{self.gateway.admin_port}/healthz"))

    @property
    def database(self):
        """The address of its database; None stands for SQLite in its directory."""
        return self._settings.get("database")

    @property
    def port(self):
        """The port of the gateway."""
        return self.gateway.port

    # What the upstream does

    def script(self, model, *answers):
        """Scripts the answers to chat requests for `model`: each is used once, the last one again and again."""
        with self._lock:
            self._scripts[model] = list(answers)
        return model

    def sent(self, model):
        """The chat requests for `model` that reached the upstream."""
        with self._lock:
            return list(self._sent.get(model, []))

    def _answer(self, request):
        if request.method != "POST":
            return json_answer({"ok": True})
        body = request.json()
        with self._lock:
            self._sent.setdefault(body["model"], []).append(request)
            script = self._scripts.get(body["model"], [reply])
            answer = script.pop(0) if len(script) > 1 else script[0]
        return answer if isinstance(answer, Answer) else answer(request)

    # What clients do

    def key(self, user="alice"):
        """The key of `user`."""
        with self._lock:
            if user not in self._keys:
                self._keys[user] = self.gateway.create_key(user)
            return self._keys[user]

    def settle(self):
        """Waits until the gateway has noticed every key that was made, upon which it looks all of them up again, and knows
        alice's. A test needs it whose database goes away: a key that is not looked up again by then is refused."""
        name = fresh("key")
        token = self.gateway.create_key("passer-by", name)
        one = lambda: exchange(self.port, "GET", "/v1/activity", [("Authorization", f"Bearer {token}")]).status
        assert one() == 200
        run("keys", "revoke", "--config", self.gateway.config_path, "--user", "passer-by", "--name", name)
        eventually(lambda: one() == 401)
        assert self.chat("x").status == 200

    def bearer(self, user="alice"):
        """The header with the key of `user`."""
        return ("Authorization", f"Bearer {self.key(user)}")

    def call(self, method, target, body=b"", headers=(), user="alice", timeout=10):
        """One request on a connection of its own; without a key if `user` is None. The answer keeps to the API document."""
        response = exchange(self.port, method, target, self.headers(user, headers, body), body, timeout)
        self.contract.check(method, target, response)
        return response

    def readiness(self):
        """What /readyz tells those who run the gateway."""
        response = exchange(self.gateway.admin_port, "GET", "/readyz")
        self.contract.check("GET", "/readyz", response)
        return response

    @property
    def contract(self):
        """What the gateway's API document promises."""
        # Here, because scripts that use a site run without the packages of the tests.
        from harness.contract import Contract
        if self._contract is None:
            self._contract = Contract.read(exchange(self.port, "GET", "/openapi.json").body)
        return self._contract

    def headers(self, user="alice", headers=(), body=b""):
        """The headers of a request with `user`'s key, and a JSON body if there is one."""
        fields = [self.bearer(user)] if user else []
        has_type = any(name.lower() == "content-type" for name, _ in headers)
        return [*fields, *([("Content-Type", "application/json")] if body and not has_type else []), *headers]

    def send(self, method, path, value, headers=(), user="alice"):
        """A request with a JSON value as its body."""
        return self.call(method, path, json.dumps(value).encode(), headers, user)

    def chat(self, messages, model=None, headers=(), user="alice", query="", timeout=10, **fields):
        """A chat request; `messages` may be what the user says."""
        body = json.dumps(chat_body(messages, model or fresh("model"), fields), ensure_ascii=False).encode()
        return self.call("POST", CHAT + query, body, headers, user, timeout)

    def open_chat(self, messages, model, headers=(), user="alice", timeout=10, **fields):
        """A connection on which a chat request was sent, and nothing read yet."""
        body = json.dumps(chat_body(messages, model, fields), ensure_ascii=False).encode()
        connection = Connection(self.port, timeout)
        connection.send(request_bytes("POST", CHAT, self.headers(user, headers, body), body))
        return connection

    def conversation(self, session=None, user="alice", model=None):
        """A session of `user` that the first thing said in it creates."""
        return Conversation(self, session or fresh("session"), user, model or fresh("model"))

    def stored(self, session, user="alice"):
        """The messages of a session, oldest first, as the API lists them."""
        response = self.call("GET", f"{SESSIONS}/{quote(session, safe='')}/messages?limit=200", user=user)
        assert response.status == 200, response.raw
        return [message_in(entry) for entry in response.json()["data"]]

    def activity(self, response, user="alice"):
        """The activity row of the exchange with this response."""
        return self.activity_of(response.header("x-turnpike-request-id"), user)

    def activity_of(self, request_id, user="alice"):
        """The activity row of an exchange, as soon as it is written."""
        rows = lambda: self.call("GET", "/v1/activity?limit=200", user=user).json()["data"]
        find = lambda: next((row for row in rows() if bare(row["id"]) == bare(request_id)), None)
        return eventually(find)


class Conversation:
    """A session, and the model that its user talks to."""

    def __init__(self, site, session, user, model):
        self.site, self.session, self.user, self.model = site, session, user, model

    def say(self, messages, headers=(), **fields):
        """Says something in the session; the answer must be a 200."""
        response = self.try_to_say(messages, headers, **fields)
        assert response.status == 200 and response.complete, response.raw
        return response

    def try_to_say(self, messages, headers=(), **fields):
        """Says something in the session."""
        return self.site.chat(messages, self.model, [("X-Session-ID", self.session), *headers], self.user, **fields)

    def answer(self, *answers):
        """Scripts the upstream's answers."""
        self.site.script(self.model, *answers)
        return self

    @property
    def seen(self):
        """The messages that the upstream got last."""
        return self.request["messages"]

    @property
    def request(self):
        """The body that the upstream got last."""
        return self.site.sent(self.model)[-1].json()

    @property
    def texts(self):
        """The contents of the messages that the upstream got last."""
        return [message["content"] for message in self.seen]

    @property
    def stored(self):
        """The messages of the session, oldest first."""
        return self.site.stored(self.session, self.user)

    @property
    def stored_texts(self):
        """Their contents."""
        return [message["content"] for message in self.stored]


def chat_body(messages, model, fields):
    """The value of a chat request."""
    messages = [said(messages)] if isinstance(messages, str) else messages
    return {"model": model, "messages": messages, **fields}


def said(text):
    """A message of a user."""
    return {"role": "user", "content": text}


def answered(text):
    """A message of the model."""
    return {"role": "assistant", "content": text}


def reply(request):
    """Repeats what the user said last, as JSON or as a stream."""
    body = request.json()
    users = [message["content"] for message in body["messages"] if message["role"] == "user"]
    text = f"re: {users[-1] if users else 'nothing'}"
    if body.get("stream"):
        return sse_answer(chat.text_events([text[:2], text[2:]]))
    return json_answer(chat.completion(text))


def bare(identifier):
    """The digits of an id in any of its printed forms."""
    return identifier.rpartition("_")[2].replace("-", "").lower()


def message_in(entry):
    """The message in an entry of a session's list."""
    return entry.get("message", entry)


def error_of(response, status, code=None):
    """The error in a response, whose envelope, status and request id are checked; docs/errors.md has the status."""
    assert response.status == status, response.raw
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error), error
    assert error["message"] and error["type"]
    assert code is None or error["code"] == code, error
    assert error_statuses().get(error["code"]) == status, f"docs/errors.md does not say so: {response.raw}"
    assert error["request_id"] == response.header("x-turnpike-request-id"), response.raw
    return error
