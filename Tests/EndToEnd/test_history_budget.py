"""What the upstream gets never exceeds the model's context, by tiktoken's own count, whatever is said."""
import json
import random

import pytest

from harness import chat
from harness.answers import json_answer
from harness.site import answered, fresh, said
from harness.vocabulary import encoding

DATABASES = "both"
WINDOWS = {"gpt-4o": ("o200k_base", 3_000), "gpt-4": ("cl100k_base", 1_500)}
MAX_OUTPUT, RESERVED = 700, 300  # of both models in the catalogue, and for requests without a limit in the configuration
WORDS = "the of tokens antidisestablishmentarianism HTTPServer x=1; 3.14159 naïve Straße москва 日本語テスト हिन्दी العربية 👩‍👩‍👧‍👦 \n\n \t <|endoftext|> aaaaaaaa".split(" ")


@pytest.fixture(scope="module")
def site(open_site, tmp_path_factory):
    models = {name: {"encoding": encoding, "context_window": window, "max_output": MAX_OUTPUT} for name, (encoding, window) in WINDOWS.items()}
    path = tmp_path_factory.mktemp("catalogue") / "models.json"
    path.write_text(json.dumps({"version": 1, "groups": [{"source": "this test", "date": "2026-01-01", "models": models}]}))
    return open_site(
        model_catalogue=str(path), plugins={"history": {"max_history_messages": 200, "reserved_output": RESERVED}})


def tokens(model, messages):
    """By OpenAI's published rule; of tool calls only the text, which is less than they cost."""
    count = lambda text: len(encoding(WINDOWS[model][0]).encode_ordinary(text))
    total = 3
    for message in messages:
        total += 3 + count(message["role"]) + count(message.get("content") or "")
        total += 1 + count(message["name"]) if "name" in message else 0
        total += sum(count(call["function"]["name"]) + count(call["function"]["arguments"]) for call in message.get("tool_calls") or [])
    return total


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
