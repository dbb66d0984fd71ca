"""Conversations by chance through the gateway: what the upstream gets and what is stored is what a naive model of the rules says.

Clients send everything, a window, or only what is new; they edit, regenerate, send examples, try again, and two of them
speak at once, in every mode and with either truncation. Where the context is small, what is left of the history is counted
by tiktoken.
"""
import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from harness import chat
from harness.answers import json_answer, sse_answer
from harness.context import tokens, write_catalogue
from harness.naive_history import Session, alike, replayed, shown, shows_again, strip
from harness.site import SESSIONS, answered, fresh, message_in, said
from harness.waiting import eventually

DATABASES = "both"
SEEDS, STEPS = range(8), 40
RESERVED = 300
NARROW = {f"narrow-{seed}": (("o200k_base", "cl100k_base")[seed % 2], 1_800 + 250 * seed) for seed in range(4)}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
INSTRUCTIONS = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind.", "name": "dev"}]
HANDBOOK = [{"role": "system", "content": "Answer as the handbook says. " * 50}, INSTRUCTIONS[1]]


@pytest.fixture(scope="module")
def site(open_site, tmp_path_factory):
    history = {"default_context_window": 10_000_000, "reserved_output": RESERVED, "max_history_messages": 500}
    return open_site(model_catalogue=write_catalogue(tmp_path_factory.mktemp("catalogue"), NARROW), plugins={"history": history})


def spans(body):
    """The messages of a request as they stand in its bytes."""
    text = body.decode()
    at, found, decoder = text.index("[", text.index('"messages"')) + 1, [], json.JSONDecoder()
    while text[at] != "]":
        if text[at] in ", \n":
            at += 1
            continue
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = end
    return found


def written(message):
    """A message as the client, or the upstream, writes it."""
    return json.dumps(message, ensure_ascii=False)


ALL_KINDS = range(14)
# Mostly what is new, so that conversations become longer than a small context.
STEADY_KINDS = [*range(6), *range(2, 6), *range(2, 6), *range(2, 6), *range(2, 6), *range(2, 6), *range(2, 6), 7, 8, 8, 8, 10]


class Client:
    """What a client, or two of them, say next. Few different words, so that everything repeats."""

    def __init__(self, source, longest, kinds):
        self.source, self.longest, self.kinds = source, longest, kinds
        self.instructions = INSTRUCTIONS if kinds is ALL_KINDS else HANDBOOK
        self.view = []  # the conversation as the client knows it
        self.last = None  # its last request: messages, mode, key

    def text(self):
        if self.source.random() < 0.3:
            return self.source.choice(["yes", "no", "continue"])
        return " ".join(self.source.choices(["alpha", "naïve", "日本", "x=1;", "the", "\n"], k=self.source.randint(1, self.longest)))

    def question(self):
        kind = self.source.randrange(8)
        if kind == 0:
            return {"role": "user", "content": [{"type": "text", "text": self.text()}, IMAGE], "x_vendor": {"kept": [1.0, None]}}
        if kind == 1:
            return {"role": "user", "content": self.text(), "name": "Ada"}
        return said(self.text())

    def answer(self):
        """What the model says: a text, calls of tools, or both."""
        message = {"role": "assistant", "content": self.text(), "refusal": None}
        if self.source.random() < 0.1:
            message["reasoning_content"] = "hm"
        if self.source.random() < 0.3:
            message["content"] = None if self.source.random() < 0.8 else "Let me see."
            arguments = lambda: json.dumps({"q": self.text()}, ensure_ascii=False)
            message["tool_calls"] = [
                {"id": fresh("call"), "type": "function", "function": {"name": "look_up", "arguments": arguments()}}
                for _ in range(self.source.randint(1, 3))
            ]
        return message

    def new(self):
        """What follows the view: mostly the results of its calls, all of them, some, or none; else a question."""
        if self.source.random() < 0.15 and (late := self.late()):
            return late
        calls = self.view[-1].get("tool_calls") or [] if self.view else []
        if not calls or self.source.random() < 0.15:
            return [self.question()]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": self.text()} for call in calls]
        return results[: self.source.randint(1, len(results))] if self.source.random() < 0.1 else results

    def late(self):
        """Results of calls that were passed over, in any order."""
        given = {message.get("tool_call_id") for message in self.view}
        ids = [call["id"] for message in self.view for call in message.get("tool_calls") or [] if call["id"] not in given]
        ids = self.source.sample(ids, min(len(ids), self.source.randint(1, 3)))
        return [{"role": "tool", "tool_call_id": name, "content": self.text()} for name in ids]

    def reworded(self, messages):
        """The same messages as another program would write them."""
        if self.source.random() < 0.5:
            return messages
        found = []
        for message in messages:
            message = dict(message)
            if isinstance(message.get("content"), str) and message["role"] == "user":
                message["content"] = [{"type": "text", "text": message["content"]}]
            if message["role"] == "assistant":
                message.pop("refusal", None)
                message.pop("reasoning_content", None)
                message["tool_calls"] = [
                    {**call, "function": {**call["function"], "arguments": json.dumps(json.loads(call["function"]["arguments"]), indent=1)}}
                    for call in message.get("tool_calls") or []
                ]
                if not message["tool_calls"]:
                    del message["tool_calls"]
            found.append(message)
        return found

    def request(self):
        """The next request: its messages, how it wants them to be taken, and whether it is sent again."""
        source, view = self.source, self.view
        kind = source.choice(self.kinds)
        if kind == 0 and self.last:
            return (*self.last[:2], True)
        mode = source.choice(["append", "replace"]) if kind == 1 and self.kinds is ALL_KINDS else "auto"
        if mode != "auto" and view and source.random() < 0.5:  # which auto would take for something else
            messages = self.reworded(view[source.randrange(len(view)):]) + self.new()
        elif kind <= 5 or not view:
            messages = self.new()
        elif kind <= 7:
            messages = self.reworded(view) + self.new()
        elif kind == 8:
            messages = self.reworded(view[-source.randint(1, len(view)):]) + self.new()
        elif kind == 9:  # an edited question
            messages = view[: source.randint(0, len(view) - 1)] + [self.question()]
        elif kind == 10:  # the last answer again
            messages = view[:-1] or [self.question()]
        elif kind == 11:  # an edited answer
            messages = [*view[:-1], {"role": "assistant", "content": self.text()}, self.question()]
        else:  # examples in front
            messages = [self.question(), answered("ok"), *self.new()]
        if source.random() < 0.2:
            messages = self.instructions[: source.randint(1, 2)] + messages
        return messages, mode, False


class Talk:
    """A session, its clients, and the model of what must become of it."""

    def __init__(self, site, seed, narrow=None, is_stable=False):
        self.site, self.source, self.narrow = site, random.Random(f"{seed} {narrow}"), narrow
        self.client = Client(self.source, 60, STEADY_KINDS) if narrow else Client(self.source, 12, ALL_KINDS)
        self.model = narrow or fresh("wide")
        self.id = fresh("session")
        self.limit = 500 if narrow else self.source.choice([0, 1, 3, 8, 20, 500])
        self.by_key = self.source.random() < 0.5
        self.key = None
        self.naive, self.written = Session(self.limit, is_stable), {}
        self.start, self.cuts, self.kept, self.pairs = None, 0, 0, 0
        settings = {"max_history_messages": self.limit, "truncation": "stable" if is_stable else "rolling"}
        created = site.send("POST", SESSIONS, {"id": self.id, **settings})
        assert created.status == 201, created.raw

    # What is sent

    def headers(self, mode, is_retry):
        """Of a request, which says in one of two ways that it is sent again."""
        fields = [("X-Session-ID", self.id)] + ([("X-History-Mode", mode)] if mode != "auto" else [])
        if not self.by_key:
            return fields + [("x-stainless-retry-count", str(int(is_retry)))]
        self.key = self.key if is_retry else fresh("key")
        return fields + [("Idempotency-Key", self.key)]

    def upstream_answer(self, message, pause=0):
        """The answer, and whether it is a stream."""
        if self.source.random() < 0.3:
            return stream(message, pause), True
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        answer = chat.completion()
        answer["choices"][0] = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return replace(json_answer(answer), pause=pause or 0.001), False

    def send(self, messages, headers, is_streamed):
        return self.site.chat(messages, self.model, headers, timeout=60, **({"stream": True} if is_streamed else {}))

    # Steps

    def step(self):
        if self.source.random() < 0.12:
            return self.two_at_once()
        request, mode, is_retry = self.client.request()
        headers = self.headers(mode, is_retry)
        answer, count = self.client.answer(), len(self.site.sent(self.model))
        scripted, is_streamed = self.upstream_answer(answer)
        self.site.script(self.model, scripted)
        shown_before = self.preview(request, headers) if self.source.random() < 0.15 and not is_retry else None
        before = self.naive.copy()
        plan = self.naive.plan(request, mode, is_retry, self.key if self.by_key else None)
        response = self.send(request, headers, is_streamed)
        if response.status == 400 and self.narrow:
            assert len(self.site.sent(self.model)) == count
            return self.refused(response, strip(request), plan, before)
        assert response.status == 200 and response.complete, response.raw
        (sent,) = self.site.sent(self.model)[count:]
        if shown_before is not None:
            assert shown_before == sent.json()["messages"]
        self.check(sent, request, plan, response)
        self.naive.store(request, plan, answer)
        self.note(request, mode, plan, answer, is_streamed)
        self.check_stored(self.naive)

    def note(self, request, mode, plan, answer, is_streamed):
        """What the client knows from now on, and how the new messages were written."""
        asked, first = strip(request), self.naive.next - len(plan.new) - 1
        for seq, message in enumerate(plan.new, first):
            self.written[seq] = written(message)
        if not is_streamed:
            self.written[self.naive.next - 1] = written(answer)
        self.client.last = (request, mode)
        self.client.view = [*self.naive.messages]
        # Some clients have forgotten the beginning, and one that sent its own view goes on with that.
        if plan.since is not None or not plan.injected:
            self.client.view = [*asked, answer]

    def preview(self, request, headers):
        """The messages that a dry run shows."""
        headers = [field for field in headers if field[0] in ("X-History-Mode", "Idempotency-Key")]
        body = {"model": self.model, "messages": request}
        shown = self.site.send("POST", f"{SESSIONS}/{self.id}/preview", body, headers)
        return shown.json()["request"]["messages"] if shown.status == 200 else None

    def two_at_once(self):
        """Two requests on one state of the session; the second one may be the first one, sent again."""
        first = self.client.request()
        if first[2]:
            first = (self.client.new(), "auto", False)
        again = self.source.random() < 0.3
        second = (*first[:2], True) if again else self.client.request()
        if second[2] and not again:
            second = (self.client.new(), "auto", False)
        if self.narrow and any(tokens(NARROW[self.narrow][0], strip(request[0])) > 500 or strip(request[0])[0]["role"] == "tool" for request in (first, second)):
            first = second = ([said(self.client.text())], "auto", False)  # what surely fits
        self.pairs += 1
        pauses = self.source.choice([(0.05, 0.2), (0.2, 0.05)])
        answers, plans, count = [], [], len(self.site.sent(self.model))
        scripted = []
        for pause in pauses:
            answers.append(self.client.answer())
            scripted.append((self.upstream_answer(answers[-1], pause)))
        both_are_there = threading.Event()
        self.site.script(self.model, *(replace(answer, gate=both_are_there) for answer, _ in scripted))
        with ThreadPoolExecutor(2) as pool:
            responses = []
            for at, (request, mode, is_retry) in enumerate((first, second)):
                headers = self.headers(mode, is_retry)
                plans.append(self.naive.plan(request, mode, is_retry, self.key if self.by_key else None))
                responses.append(pool.submit(self.send, request, headers, scripted[at][1]))
                eventually(lambda: len(self.site.sent(self.model)) == count + at + 1, timeout=30)
            both_are_there.set()
            responses = [response.result() for response in responses]
        requests = [first[0], second[0]]
        for sent, request, plan, response in zip(self.site.sent(self.model)[count:], requests, plans, responses):
            assert response.status == 200 and response.complete, response.raw
            self.check(sent, request, plan, response)
        turns = list(zip(requests, plans, answers, (is_streamed for _, is_streamed in scripted), (first[1], second[1])))
        self.settle(turns)

    def settle(self, turns):
        """Either of them was stored first; each is whole, and neither superseded what it did not know."""
        stored = self.stored()
        for order in (turns, turns[::-1]):
            after = self.naive.copy()
            for request, plan, answer, _, _ in order:
                after.store(request, plan, answer)
            if self.is_as_stored(after, stored):
                break
        self.check_stored(after, stored)
        for request, plan, answer, is_streamed, mode in order:
            self.naive.store(request, plan, answer)
            self.note(request, mode, plan, answer, is_streamed)
        self.client.view, self.start = [*self.naive.messages], None

    def refused(self, response, asked, plan, before):
        """What the client sent itself is too long, with the round that it goes on with; then another session goes on."""
        assert response.json()["error"]["code"] == "context_length_exceeded", response.raw
        encoding, window = NARROW[self.narrow]
        needed = self.needed(plan.injected, asked, plan)
        alone = shown(plan.injected[needed:], asked, [*plan.earlier, *plan.injected[:needed]])
        assert tokens(encoding, [*plan.instructions, *alone]) * 1.1 + 200 > window, "it would have fitted"
        self.naive = before
        self.check_stored(self.naive)
        fresh_one = Talk(self.site, self.source.random(), self.narrow)
        self.id, self.naive, self.client.view, self.written = fresh_one.id, fresh_one.naive, [], {}
        self.client.last = self.start = None

    # What must be

    def check(self, sent, request, plan, response):
        """The upstream got what the rules say, byte for byte, and the header says the same."""
        messages, raw = sent.json()["messages"], spans(sent.body)
        asked, front = strip(request), len(plan.instructions)
        items = self.cut(messages, asked, plan) if self.narrow else plan.injected
        earlier = [*plan.earlier, *plan.injected[: len(plan.injected) - len(items)]]
        pairs = [(None, message) for message in plan.instructions] + replayed(items, asked, earlier)
        expected = [message for _, message in pairs]
        assert alike(messages, expected), (self.model, messages, expected)
        assert raw[:front] == [written(message) for message in plan.instructions]
        own = [text for (item, _), text in zip(pairs[front:], raw[front:]) if item is None]
        assert own == [written(message) for message in asked]
        injected = {item.seq for item, _ in pairs if item is not None}
        for (item, message), text in zip(pairs, raw):
            if item is not None and message is item.message:
                assert self.written.setdefault(item.seq, text) == text
        check_rounds(pairs)
        said = dict(re.findall(r"(\w+)=(\w+)", response.header("x-turnpike-history")))
        dropped = max(0, plan.out_of - plan.known - len(injected))
        assert (int(said["injected"]), int(said["dropped"])) == (len(injected), dropped), said
        assert int(said.get("superseded", 0)) == plan.superseded, said
        assert ("retry" in said) == plan.repeats, said
        # Calls that are shown for results of the request count with the request.
        if self.narrow and "tokens" in said and "tool" not in [message["role"] for message in asked]:
            least = tokens(NARROW[self.narrow][0], [message for item, message in pairs if item is not None]) - 3
            assert least <= int(said["tokens"]) <= int(said["budget"]), (said, least)

    def cut(self, messages, asked, plan):
        """The stored messages that are among `messages`: whole turns, the newest ones, and not more than fit."""
        count = len(messages) - len(plan.instructions)
        window = plan.injected
        starts = self.starts(window)
        start = next((at for at in starts if alike(shown(window[at:], asked, [*plan.earlier, *window[:at]]), messages[-count:])), None)
        assert start is not None, (messages, window)
        encoding, size = NARROW[self.narrow]
        if start < self.needed(window, asked, plan):
            assert tokens(encoding, messages) + RESERVED <= size
        budget = 0.9 * (size - RESERVED - tokens(encoding, [*plan.instructions, *asked])) - 50
        if 1.2 * tokens(encoding, shown(window, asked, plan.earlier)) + 200 * len([True for item in window if "image" in written(item.message)]) < 0.6 * budget:
            assert start == 0, "it would have fitted"
        self.note_cut(window, start)
        return window[start:]

    def starts(self, window):
        """Where a part of the window may begin; its end, where none of it is there."""
        begins = {self.naive.active[at].seq for at in self.naive.beginnings()}
        return [at for at, item in enumerate(window) if item.seq in begins or at == 0] + [len(window)]

    def needed(self, window, asked, plan):
        """From where on the window has to be there: the round that the request goes on with, if it does."""
        goes_on = window and asked and asked[0]["role"] == "tool" and not shows_again(window, asked, plan.earlier)
        return self.starts(window)[-2] if goes_on else len(window)

    def note_cut(self, window, start):
        """Between two cuts the history begins with the same message."""
        if not window:
            return
        seq = window[start].seq if start < len(window) else window[-1].seq + 1
        self.kept += start > 0
        if self.start is not None and seq > self.start:
            self.cuts += 1
        self.start = seq

    def stored(self):
        """The session's messages and their numbers, in pages as long as a page may be."""
        found, path = [], f"{SESSIONS}/{self.id}/messages?limit=200"
        while True:
            page = self.site.call("GET", f"{path}&offset={len(found)}").json()["data"]
            found += [(entry["sequence"], message_in(entry)) for entry in page]
            if len(page) < 200:
                return found

    def is_as_stored(self, naive, stored):
        """Whether the session holds the same messages under the same numbers."""
        seqs, messages = [seq for seq, _ in stored], [message for _, message in stored]
        return seqs == [item.seq for item in naive.active] and alike(messages, naive.messages)

    def check_stored(self, naive, stored=None):
        """No message is lost, doubled, or out of order."""
        stored = self.stored() if stored is None else stored
        assert self.is_as_stored(naive, stored), (self.model, stored, naive.active)


def check_rounds(pairs):
    """Of what is injected, every call is answered right behind it, and every result has its call in front of it."""
    calls = set()
    for at, (item, message) in enumerate(pairs):
        if message["role"] == "tool":
            assert item is None or message["tool_call_id"] in calls, pairs
            continue
        calls = {call["id"] for call in message.get("tool_calls") or []}
        behind = [follower for _, follower in pairs[at + 1:]]
        end = next((at for at, follower in enumerate(behind) if follower["role"] != "tool"), len(behind))
        assert item is None or calls <= {follower["tool_call_id"] for follower in behind[:end]}, pairs


def stream(message, pause):
    """The same answer as a stream."""
    chunks = [chat.delta({"role": "assistant", "content": message["content"] and ""})]
    if reasoning := message.get("reasoning_content"):
        chunks.append(chat.delta({"reasoning_content": reasoning}))
    if text := message["content"]:
        chunks += [chat.delta({"content": text[:3]}), chat.delta({"content": text[3:]})]
    for index, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        chunks.append(chat.delta({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}))
        chunks.append(chat.delta({"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]}))
    events = chat.finished(chunks, "tool_calls" if message.get("tool_calls") else "stop", usage=False)
    answer = sse_answer(events, "joined")
    return replace(answer, pause=pause / 2 if pause else answer.pause)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_upstream_gets_what_the_rules_say(site, seed):
    talk = Talk(site, seed)
    for _ in range(STEPS):
        talk.step()


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_stable_truncation_too(site, seed):
    talk = Talk(site, seed, is_stable=True)
    for _ in range(STEPS):
        talk.step()


@pytest.mark.parametrize("model", NARROW)
def test_in_a_small_context_too_and_never_more_than_it_holds(site, model):
    talk = Talk(site, 0, model)
    for _ in range(2 * STEPS):
        talk.step()
    assert talk.kept > 5 and talk.pairs > 2, "nothing was ever cut, or nothing said at once"
    # Where each cut goes down to the watermark, two requests of three and more find the history beginning where it did.
    assert talk.cuts <= 1 + 0.4 * talk.kept, "the prefix does not stay"
