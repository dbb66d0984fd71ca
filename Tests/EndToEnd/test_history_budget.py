"""What the upstream gets never exceeds the model's context, by tiktoken's own count, whatever is said."""
import json
import random

import pytest

from harness import chat, context
from harness.answers import error_answer, json_answer
from harness.context import WINDOWS, write_catalogue
from harness.ports import free_port
from harness.site import CHAT, SESSIONS, answered, fresh, said
from harness.upstream import ScriptedUpstream
from harness.vocabulary import encoding

DATABASES = "both"
RESERVED = 300  # for requests without a limit, in the configuration
PLUGINS = {"history": {"max_history_messages": 200, "reserved_output": RESERVED}}
WORDS = "the of tokens antidisestablishmentarianism HTTPServer x=1; 3.14159 naïve Straße москва 日本語テスト हिन्दी العربية 👩‍👩‍👧‍👦 \n\n \t <|endoftext|> aaaaaaaa".split(" ")


@pytest.fixture(scope="module")
def site(open_site, catalogue):
    return open_site(model_catalogue=catalogue, plugins=PLUGINS)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """The file of a catalogue with both models."""
    return write_catalogue(tmp_path_factory.mktemp("catalogue"))


def tokens(model, messages):
    """By tiktoken, in the model's encoding."""
    return context.tokens(WINDOWS[model][0], messages)


def text(source, most):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(1, most)))


class Talk:
    """A conversation of which the client sends sometimes only what is new, sometimes more, in a random order."""

    def __init__(self, site, model, seed):
        self.site, self.model, self.source = site, model, random.Random(f"{model} {seed}")
        self.session, self.view, self.fullest, self.refused, self.dropped = fresh("session"), [], 0, 0, 0

    def turn(self):
        """One request; afterwards it is checked what the upstream got of it."""
        new = self.results() or [self.question()]
        limit = self.source.choice([None, 1, 50, 600])
        fields = {} if limit is None else {"max_tokens": limit}
        message = self.next_answer()
        seen = []
        self.site.script(self.model, lambda request: seen.append(request.json()["messages"]) or json_answer(message))
        messages = self.source.choice([new, new, new, self.view[-4:] + new, self.view + new])
        response = self.site.chat(messages, self.model, [("X-Session-ID", self.session)], **fields)
        if response.status == 400:
            self.refuse(response, messages, limit)
            return
        assert response.status == 200, response.raw
        self.check(seen[0], messages, limit)
        self.dropped += "dropped=0" not in response.header("x-turnpike-history")
        self.view += [*new, message["choices"][0]["message"]]

    def question(self):
        """What the user says, sometimes more than fits."""
        message = said(text(self.source, 1_500 if self.source.random() < 0.05 else 80))
        return {**message, "name": "Ada_Lovelace"} if self.source.random() < 0.2 else message

    def results(self):
        """The results of the calls that the last answer made."""
        calls = self.view[-1].get("tool_calls") if self.view else None
        return [{"role": "tool", "tool_call_id": call["id"], "content": text(self.source, 60)} for call in calls or []]

    def next_answer(self):
        if self.source.random() < 0.2:
            arguments = lambda: json.dumps({"text": text(self.source, 20)})
            calls = [{"id": fresh("call"), "type": "function", "function": {"name": "look_up", "arguments": arguments()}}
                     for _ in range(self.source.randint(1, 3))]
            return chat.completion(None, calls, "tool_calls")
        return chat.completion(text(self.source, 100))

    def check(self, sent, messages, limit):
        reserved = limit or 0
        if limit is None and len(sent) > len(messages) + self.needed(sent, messages):
            reserved = RESERVED  # more than what cannot be left out
        used = tokens(self.model, sent) + reserved
        assert used <= WINDOWS[self.model][1], (used, sent)
        called = {call["id"] for message in sent for call in message.get("tool_calls") or []}
        assert called == {message["tool_call_id"] for message in sent if message["role"] == "tool"}
        self.fullest = max(self.fullest, used)

    @staticmethod
    def needed(sent, messages):
        """How many stored messages have to be there: the round that the client goes on with."""
        if messages[0]["role"] != "tool":
            return 0
        injected = sent[: -len(messages)]
        return next(count for count in range(1, len(injected) + 1) if injected[-count]["role"] == "user")

    def refuse(self, response, messages, limit):
        """What the client sent alone is too long, or with the round that its results belong to."""
        assert response.json()["error"]["code"] == "context_length_exceeded", response.raw
        self.refused += 1
        if messages[0]["role"] == "tool":
            messages = self.view + messages
        assert tokens(self.model, messages) * 1.1 + 200 + (limit or 0) > WINDOWS[self.model][1]
        self.session, self.view = fresh("session"), []


@pytest.mark.parametrize("model", WINDOWS)
def test_the_context_is_never_exceeded_by_tiktokens_count(site, model):
    talks = [Talk(site, model, seed) for seed in range(4)]
    for talk in talks:
        for _ in range(50):
            talk.turn()
    # The conversations were long enough to be cut, and what fits is used.
    assert sum(talk.dropped for talk in talks) > 20 and any(talk.refused for talk in talks)
    assert max(talk.fullest for talk in talks) > 0.9 * WINDOWS[model][1]


def test_a_conversation_that_fits_is_not_cut(site):
    session = fresh("session")
    for number in range(5):
        response = site.chat([said(f"question {number}")], "gpt-4o", [("X-Session-ID", session)])
        assert f"injected={2 * number}; dropped=0" in response.header("x-turnpike-history")
    assert [message["content"] for message in site.stored(session)][:1] == [answered("question 0")["content"]]


def count(model, text):
    """Tokens of a text."""
    return len(encoding(WINDOWS[model][0]).encode_ordinary(text))


def long_talk(site, model, words=4_000):
    """A session whose history alone is more than the model has room for."""
    session, source = fresh("session"), random.Random(model)
    for _ in range(words // 100):
        assert site.chat([said(" ".join(source.choices(WORDS, k=100)))], model, [("X-Session-ID", session)]).status == 200
    return session


@pytest.mark.parametrize("model", WINDOWS)
def test_instructions_tools_and_a_schema_take_their_room_from_the_history(site, model):
    """By dry runs, of which each sees the same session: what is sent beside the messages is missing for them."""
    session, room, note = long_talk(site, model), WINDOWS[model][1] - RESERVED, "note"
    while count(model, note) < 0.45 * room:  # more than a cut leaves free
        note += " " + random.Random(len(note)).choice(["the", "of", "tokens", "antidisestablishmentarianism", "HTTPServer"])
    tool = {"type": "function", "function": {"name": "look_up", "description": note, "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": note}}}
    beside = {
        "nothing": ([], {}),
        "instructions": ([{"role": "system", "content": note}], {}),
        "tools": ([], {"tools": [tool]}),
        "a schema": ([], {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}),
    }
    history = {}
    for name, (instructions, fields) in beside.items():
        messages = [*instructions, said("and now?")]
        shown = site.send("POST", f"{SESSIONS}/{session}/preview", {"model": model, "messages": messages, **fields})
        assert shown.status == 200, shown.raw
        sent = shown.json()["request"]["messages"]
        extra = count(model, note) if fields else 0
        assert tokens(model, sent) + extra <= room, name
        history[name] = tokens(model, sent) - tokens(model, messages)
    assert history["nothing"] > 0.6 * room
    for name in ("instructions", "tools", "a schema"):
        assert history[name] < history["nothing"], history


def test_instructions_of_the_session_take_their_room_too(site):
    model, session = "gpt-4", long_talk(site, "gpt-4")
    note = " ".join(random.Random(2).choices(WORDS, k=150))
    headers = [("X-Session-ID", session)]
    assert site.chat([{"role": "system", "content": note}, said("hello")], model, headers).status == 200
    seen = []
    site.script(model, lambda request: seen.append(request.json()["messages"]) or json_answer(chat.completion("ok")))
    assert site.chat([said("and now?")], model, headers).status == 200
    assert seen[0][0] == {"role": "system", "content": note}
    assert tokens(model, seen[0]) + RESERVED <= WINDOWS[model][1]


def test_a_fallback_with_a_smaller_context_gets_less_of_the_same_history(open_site, catalogue):
    """The first target, with the larger context, fails; the second must not be sent what was cut for the first."""
    with ScriptedUpstream(free_port()) as second:
        second.on(CHAT, json_answer(chat.completion("from the second")))
        site = open_site(
            model_catalogue=catalogue, plugins=PLUGINS, providers={"second": {"base_url": second.url}},
            models={"m": {"targets": [{"provider": "scripted", "weight": 1, "model": "gpt-4o"}, {"provider": "second", "weight": 0, "model": "gpt-4"}]}})
        session = long_talk(site, "m")
        large = []
        site.script("gpt-4o", lambda request: large.append(request.json()["messages"]) or error_answer(503))
        response = site.chat([said("and now?")], "m", [("X-Session-ID", session)])
        assert response.status == 200 and response.json()["choices"][0]["message"]["content"] == "from the second"
        sent = second.requests[-1].json()["messages"]
        assert WINDOWS["gpt-4"][1] < tokens("gpt-4o", large[0]) <= WINDOWS["gpt-4o"][1] - RESERVED
        assert tokens("gpt-4", sent) + RESERVED <= WINDOWS["gpt-4"][1]
        # Whole turns, the newest ones, and nothing else.
        assert 1 < len(sent) < len(large[0]) and sent == large[0][-len(sent):] and sent[0]["role"] == "user"
        # The header tells of what the second was sent, and the turn is stored.
        assert f"injected={len(sent) - 1}" in response.header("x-turnpike-history")
        assert site.stored(session)[-1]["content"] == "from the second"


@pytest.mark.parametrize("facts", [{}, {"encoding": "o200k_base"}], ids=["estimated", "exact"])
def test_only_what_surely_does_not_fit_is_refused(open_site, tmp_path, facts):
    """The margins of the count take room from the history, not from what the client sends."""
    path = tmp_path / "models.json"
    models = {"m": {"context_window": 600, **facts}}
    path.write_text(json.dumps({"version": 1, "groups": [{"source": "this test", "date": "2026-01-01", "models": models}]}))
    site = open_site(model_catalogue=str(path))
    parameters = {"type": "object", "properties": {"q": {"type": "string", "pattern": "^[a-z]+( [a-z]+)*$", "minLength": 3}}}
    tool = {"type": "function", "function": {"name": "look_up", "description": "Looks a thing up", "parameters": parameters}}
    session = fresh("session")
    assert site.chat([said("hello")], "m", [("X-Session-ID", session)]).status == 200

    def preview(words):
        body = {"model": "m", "messages": [said("house " * words)], "tools": [tool]}
        return site.send("POST", f"{SESSIONS}/{session}/preview", body)

    words = next(words for words in range(300, 700) if preview(words).status == 400)
    message = preview(words).json()["error"]["message"]
    assert 600 < int(message.split("resulted in ")[1].split()[0]) < 605, message
    history = preview(words - 1).json()["history"]
    assert history["request_tokens"] > 600 and (history["injected"], history["budget"]) == (0, 0), history
    response = site.chat([said("house " * (words - 1))], "m", [("X-Session-ID", session)], tools=[tool])
    assert response.status == 200 and "budget=0" in response.header("x-turnpike-history")


def sent_to(site, model, session, text, **fields):
    """The messages that the upstream got of one request."""
    seen = []
    site.script(model, lambda request: seen.append(request.json()["messages"]) or json_answer(chat.completion("ok")))
    assert site.chat([said(text)], model, [("X-Session-ID", session)], **fields).status == 200
    return seen[0]


@pytest.mark.parametrize("small", [{"model": "tiny"}, {"model": "large", "max_tokens": 18_500}], ids=["a smaller model", "more room for the answer"])
def test_a_request_with_a_small_budget_takes_nothing_from_later_ones(open_site, tmp_path, small):
    path = tmp_path / "models.json"
    models = {"large": {"encoding": "o200k_base", "context_window": 20_000, "max_output": 19_000}, "tiny": {"encoding": "o200k_base", "context_window": 1_500}}
    path.write_text(json.dumps({"version": 1, "groups": [{"source": "this test", "date": "2026-01-01", "models": models}]}))
    site = open_site(model_catalogue=str(path), plugins={"history": {"max_history_messages": 1_000}})
    session, text = fresh("session"), "house " * 400
    before = [sent_to(site, "large", session, text) for _ in range(40)][-1]
    assert 10_000 < len(before) * 200 < 20_000 and len(before) > 50  # not yet cut, or once
    model, fields = small["model"], {name: value for name, value in small.items() if name != "model"}
    for _ in range(4):
        assert len(sent_to(site, model, session, "and now?", **fields)) < len(before) / 4
        after = sent_to(site, "large", session, "and now?")
        assert after[: len(before)] == before
        before = after
