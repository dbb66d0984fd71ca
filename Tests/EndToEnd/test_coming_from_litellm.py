"""docs/coming-from-litellm.md: our side of it is tried, and LiteLLM's form of a variable is refused."""
import re

import pytest

from harness import chat
from harness.answers import json_answer
from harness.client import exchange
from harness.gateway import Process, binary
from harness.pages import blocks, done
from harness.ports import free_port
from harness.site import CHAT, error_of
from harness.upstream import ScriptedUpstream

PAGE = "coming-from-litellm.md"
VARIABLES = {"OPENAI_API_KEY": "sk-provider", "DB_PASSWORD": "x"}


class Serving(Process):
    """`turnpike serve` with the configuration of a directory, in that directory."""

    def __init__(self, directory, port, home):
        arguments = ["sh", "-c", 'cd "$0" && exec "$1" serve --config turnpike.yaml', home, binary()]
        super().__init__(arguments, f"http://127.0.0.1:{port}/readyz", directory, variables=VARIABLES)


@pytest.fixture
def directory(tmp_path):
    """A directory with the page's configuration."""
    theirs, ours = blocks(PAGE, "yaml")
    assert "os.environ/" in theirs
    (tmp_path / "turnpike.yaml").write_text(ours)
    return tmp_path


def test_the_configuration_of_the_page_is_good(directory):
    assert "ok" in done(blocks(PAGE, "sh")[0], directory, **VARIABLES)


def test_it_does_what_the_page_says(directory, start_process):
    seen = []

    def answer(request):
        seen.append(request)
        model = request.json()["model"]
        return json_answer(chat.completion(f"from {model}"), status=200 if model == "gpt-4o" else 503)

    port = free_port()
    with ScriptedUpstream(free_port()) as upstream:
        upstream.on(CHAT, answer)
        config = (directory / "turnpike.yaml").read_text()
        config = re.sub(r'^database:.*$', 'database: "sqlite:data/turnpike.db"', config, flags=re.M)
        config = re.sub(r'base_url: "[^"]*"', f'base_url: "{upstream.url}"', config).replace("port: 4000", f"port: {port}")
        (directory / "turnpike.yaml").write_text(config)
        create, rest = blocks(PAGE, "sh")[1].split("\n", 1)
        key = done(create, directory, **VARIABLES).strip()
        start_process(Serving, port=port, home=directory)

        def ask(path, body, *headers):
            return exchange(port, "POST", path, [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"), *headers], body)

        body = b'{"model":"small","messages":[{"role":"user","content":"x"}],"fallbacks":["y"]}'
        response = ask(CHAT, body, ("x-litellm-timeout", "1"))
        assert response.status == 200 and b"from gpt-4o" in response.body
        assert {request.json()["model"] for request in seen[:-1]} == {"gpt-4o-mini", "llama3.1:8b"}
        assert seen[-1].json()["model"] == "gpt-4o" and seen[-1].json()["fallbacks"] == ["y"] and seen[-1].header("x-litellm-timeout") == "1"
        listed = exchange(port, "GET", "/v1/models", [("Authorization", f"Bearer {key}")]).json()
        assert [model["id"] for model in listed["data"]] == ["large", "small"]
        error_of(ask("/chat/completions", body), 404, "unknown_url")
        assert ask("/chat/completions?a=b", body).json()["error"]["message"].endswith(" Did you mean /v1/chat/completions?")
        error_of(ask("/key/generate", b"{}"), 404, "unknown_url")
        assert "mean" not in ask("/key/generate", b"{}").json()["error"]["message"]
        done(rest, directory, **VARIABLES)
        assert "revoked" in done("turnpike keys list --config turnpike.yaml", directory, **VARIABLES)
