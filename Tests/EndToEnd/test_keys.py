"""Only a live key of ours opens the gateway, and no key is ever shown to anybody else."""
import json
import sqlite3
import subprocess

import pytest

from harness import chat
from harness.answers import Ending, body_answer, error_answer, json_answer, sse_answer
from harness.client import Connection, exchange, request_bytes
from harness.gateway import binary, run
from harness.ports import free_port
from harness.site import CHAT, PROVIDER_KEY, SESSIONS, Site, error_of, fresh, said
from harness.waiting import eventually, together

GUARDED = [
    ("POST", CHAT), ("GET", "/v1/models"), ("POST", "/v1/embeddings"), ("GET", SESSIONS), ("POST", SESSIONS),
    ("GET", f"{SESSIONS}/x/messages"), ("GET", "/v1/activity"), ("GET", "/v1/activity/stats"), ("GET", "/v1/files"), ("GET", "/v1/unheard"),
]
BODY_CANARY = "canary-in-a-message-7c31"
ANSWER_CANARY = "canary-in-an-answer-9d02"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(log={"level": "trace"}, providers={"refusing": {"base_url": f"http://127.0.0.1:{free_port()}/v1"}},
                     models={"*": {"provider": "scripted"}, "refused": {"provider": "refusing"}})


def command(site, *arguments):
    """Runs `turnpike keys …` on the site's configuration."""
    return run("keys", arguments[0], "--config", site.gateway.config_path, *arguments[1:])


def ask(site, *headers, method="GET", target="/v1/activity", body=b""):
    return exchange(site.port, method, target, headers, body)


@pytest.mark.parametrize("method, target", GUARDED)
def test_without_a_key_every_endpoint_is_401(site, method, target):
    count = len(site.upstream.requests)
    response = ask(site, method=method, target=target, body=b'{"model":"m","messages":[]}' if method == "POST" else b"")
    error = error_of(response, 401)
    assert error["code"] in ("missing_api_key", "invalid_api_key")
    assert response.header("WWW-Authenticate").startswith("Bearer")
    assert len(site.upstream.requests) == count


@pytest.mark.parametrize(
    "value", ["Bearer sk-wrong", "Bearer ", "Bearer", "Basic YWxpY2U6eA==", "sk-wrong", "Bearer {key}x", "Bearer x{key}", "Bearer {half}",
              "Bearer {upper}", "Bearer {key} {key}", "Bearer ' OR 1=1 --", "Bearer " + "x" * 20_000, "Token {key}"]
)
def test_anything_but_a_key_of_ours_is_401(site, value):
    key = site.key()
    value = value.format(key=key, half=key[: len(key) // 2], upper=key.swapcase())
    response = ask(site, ("Authorization", value))
    error_of(response, 401)
    assert key.encode() not in response.raw


def test_the_scheme_is_read_without_regard_to_case_and_the_header_too(site):
    assert ask(site, ("authorization", f"bearer {site.key()}")).status == 200
    assert ask(site, ("AUTHORIZATION", f"BEARER {site.key()}")).status == 200


def test_two_keys_in_one_request_are_401(site):
    assert ask(site, site.bearer(), site.bearer("bob")).status == 401
    assert ask(site, site.bearer(), ("Authorization", "Bearer sk-wrong")).status == 401


def test_a_key_elsewhere_than_in_the_authorization_header_is_no_key(site):
    key = site.key()
    assert ask(site, ("X-Api-Key", key), ("Api-Key", key), ("Cookie", f"key={key}")).status == 401
    assert ask(site, target=f"/v1/activity?api_key={key}&key={key}").status == 401


def test_a_key_that_is_made_while_the_gateway_runs_works_at_once(site):
    key = command(site, "create", "--user", "zoe", "--name", "new", "--create-user").strip()
    assert ask(site, ("Authorization", f"Bearer {key}")).status == 200


def test_a_revoked_key_is_refused_within_two_seconds(site):
    key = command(site, "create", "--user", "alice", "--name", "short-lived").strip()
    bearer = ("Authorization", f"Bearer {key}")
    assert ask(site, bearer).status == 200
    command(site, "revoke", "--user", "alice", "--name", "short-lived")
    refused = eventually(lambda: ask(site, bearer), lambda response: response.status == 401, timeout=2)
    error_of(refused, 401)
    assert ask(site, site.bearer()).status == 200


def test_a_revoked_key_leaves_its_users_sessions_to_the_next_key(site):
    old = command(site, "create", "--user", "rota", "--name", "old", "--create-user").strip()
    headers = [("X-Session-ID", "kept"), ("Content-Type", "application/json")]
    say = lambda key, model: exchange(
        site.port, "POST", CHAT, [("Authorization", f"Bearer {key}"), *headers],
        f'{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}'.encode())
    assert say(old, fresh("model")).status == 200
    command(site, "revoke", "--user", "rota", "--name", "old")
    new, model = command(site, "create", "--user", "rota", "--name", "new").strip(), fresh("model")
    assert say(new, model).status == 200
    assert [message["content"] for message in site.sent(model)[0].json()["messages"]] == ["hello", "re: hello", "hello"]


def test_the_database_holds_no_key(site):
    site.chat("x")
    stored = b"".join(path.read_bytes() for path in site.directory.glob("turnpike.db*"))
    assert len(stored) > 4096
    assert site.key().encode() not in stored and PROVIDER_KEY.encode() not in stored


def outcomes(site):
    """Exchanges of every outcome, with canaries in keys, messages and answers."""
    answer = chat.completion(ANSWER_CANARY)
    stream = sse_answer(chat.text_events([ANSWER_CANARY]))
    scripts = [
        json_answer(answer), error_answer(500, ANSWER_CANARY), error_answer(401, f"bad key {PROVIDER_KEY}"), stream,
        stream.cut_at(len(stream.data) - 60), stream.cut_at(20), body_answer(b"not JSON " + ANSWER_CANARY.encode()),
        stream.cut_at(len(stream.data) - 60, Ending.RESET),
    ]
    for script in scripts:
        for headers in ([], [("X-Session-ID", fresh("session"))]):
            model = site.script(fresh("model"), script)
            site.chat(BODY_CANARY, model, [*headers, ("X-Canary", BODY_CANARY)], stream=script not in scripts[:3])
    site.chat([said(BODY_CANARY), 7], headers=[("X-Session-ID", BODY_CANARY)])
    site.chat(BODY_CANARY, "refused")
    site.call("POST", CHAT, f'{{"model":"m","messages":["{BODY_CANARY}'.encode())
    site.call("POST", CHAT, f'{{"model":7,"{BODY_CANARY}":1}}'.encode())
    for target in ("/v1/activity", f"/v1/unheard?{BODY_CANARY}={site.key()}"):
        exchange(site.port, "GET", target, [("Authorization", f"Bearer {site.key()}x")])
        site.call("GET", target)
    with Connection(site.port) as connection:
        connection.send(request_bytes("GET", "/v1/activity", [site.bearer(), ("Bad Name", BODY_CANARY)]))
        connection.read_to_end()
    with site.open_chat(BODY_CANARY, site.script(fresh("model"), stream.stalled_at(len(stream.pieces[0]) + 20)), stream=True) as connection:
        connection.read_until(b"\r\n\r\n")
        connection.reset()


def test_the_log_of_every_outcome_at_its_finest_level_has_no_key_and_no_content(site):
    outcomes(site)
    marker = site.chat("last").header("x-turnpike-request-id")
    log = site.gateway.log
    assert "TRACE" in log or "DEBUG" in log or marker in log, "nothing was logged, so nothing is shown"
    for secret in (site.key(), PROVIDER_KEY, BODY_CANARY, ANSWER_CANARY, site.key()[8:24]):
        assert secret not in log


def test_no_answer_ever_shows_the_providers_key(site):
    model = site.script(fresh("model"), json_answer({"ok": True}, headers=[("x-info", "ok")]))
    for response in (site.chat("x", model), site.chat("x", "refused"), site.call("GET", "/v1/unheard")):
        assert PROVIDER_KEY.encode() not in response.raw


def test_failures_are_logged_with_their_request_id(site):
    response = site.chat("x", "refused")
    request_id = response.header("x-turnpike-request-id")
    eventually(lambda: request_id in site.gateway.log)


def test_json_logs_are_one_object_a_line(open_site):
    site = open_site(log={"level": "debug", "format": "json"}, models={"*": {"provider": "scripted"}})
    site.call("POST", CHAT, b"broken\n\r")
    site.call("GET", "/v1/unheard%0Aline")
    logged = [line for line in site.gateway.log.splitlines() if line.startswith("{")]
    assert logged and all({"time", "level", "message"} <= set(json.loads(line)) for line in logged)


def test_an_expired_key_is_refused(tmp_path):
    with Site(tmp_path) as site:
        command(site, "create", "--user", "alice", "--name", "soon", "--create-user", "--expires-in-days", "1")
        key = site.key("alice")
        site.gateway.stop()
        expire_keys(site.directory / "turnpike.db")
        site.start()
        error_of(exchange(site.port, "GET", "/v1/activity", [("Authorization", f"Bearer {key}")]), 401)


def expire_keys(database):
    """Moves every key's end into the past, as time would."""
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(api_keys)")]
        column = next(name for name in columns if name.startswith("expires"))
        assert connection.execute(f"UPDATE api_keys SET {column} = 1").rowcount == 2
    connection.close()


def test_many_clients_with_good_and_bad_keys_at_once_are_told_apart(site):
    users = ["alice", "bob", None] * 60
    for user in ("alice", "bob"):
        site.key(user)
    statuses = together(lambda user: site.call("GET", "/v1/activity", user=user).status, users)
    assert statuses == [401 if user is None else 200 for user in users]


def test_a_hash_key_that_was_lost_is_not_made_anew_while_keys_are_stored_under_it(tmp_path):
    with Site(tmp_path) as site:
        site.key()
        site.gateway.stop()
        config, path = site.gateway.config_path, tmp_path / "hash.key"
        path.unlink()

        def turnpike(*arguments):
            return subprocess.run([binary(), *arguments, "--config", config], capture_output=True, text=True, cwd=tmp_path, timeout=20)

        served = turnpike("serve")
        assert served.returncode == 1 and f"{path} cannot be used: the file is missing: put it back, since 1 key is stored under it" in served.stderr
        created = turnpike("keys", "create", "--user", "alice", "--name", "other")
        assert created.returncode == 1 and created.stdout == "" and "put it back" in created.stderr
        assert not path.exists()
        # What its advice for a file that is lost for good says.
        assert turnpike("keys", "revoke", "--user", "alice", "--name", "laptop").returncode == 0
        assert turnpike("keys", "create", "--user", "alice", "--name", "other").returncode == 0
        assert path.exists()


def test_the_gateway_does_not_start_with_another_hash_key_silently_accepting_keys(tmp_path):
    with Site(tmp_path) as site:
        key = site.key()
        site.gateway.stop()
        config = site.gateway.config_path
        (tmp_path / "hash.key").write_text("another-hash-key-of-the-end-to-end-tests-0123\n")
        listed = subprocess.run([binary(), "keys", "list", "--config", config], capture_output=True, text=True, cwd=tmp_path)
        assert key not in listed.stdout + listed.stderr
