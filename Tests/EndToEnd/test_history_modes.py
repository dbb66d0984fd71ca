"""What a request's messages are says the request, else its session, else its key, else the configuration."""
import pytest

from harness.gateway import run
from harness.site import SESSIONS, answered, error_of, fresh, said
from harness.waiting import eventually

DATABASES = "both"
VIEW = [said("one"), answered("mine"), said("two")]


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(plugins={"session": {"history_mode": "replace"}})


def bearer(site, *options):
    """The header with a new key of Alice's."""
    return [("Authorization", f"Bearer {site.gateway.create_key('alice', fresh('key'), *options)}")]


def history(site, session, headers, **fields):
    """What is said of the history of a request with the client's own view of the conversation."""
    response = site.chat(VIEW, "m", [("X-Session-ID", session), *headers], user=None, **fields)
    assert response.status == 200, response.raw
    return response.header("x-turnpike-history") or ""


def began(site, mode=None):
    """A session in which something was said."""
    session = fresh("session")
    fields = {"id": session, **({"history_mode": mode} if mode else {})}
    assert site.send("POST", SESSIONS, fields).status == 201
    assert site.chat([said("one")], "m", [("X-Session-ID", session)], history_mode="append").status == 200
    return session


def test_two_words_of_one_request_must_be_the_same(site):
    headers = [("X-Session-ID", began(site)), ("X-History-Mode", "off")]
    response = site.chat(VIEW, "m", headers, history_mode="append")
    assert response.status == 400
    assert response.json()["error"]["message"] == "history_mode and X-History-Mode name different history modes."


def test_the_nearest_word_counts(site):
    plain, appending = bearer(site), bearer(site, "--history-mode", "append")
    assert "reason=replace" in history(site, began(site), plain)
    assert "injected=2" in history(site, began(site), appending)
    assert "reason=branched" in history(site, began(site, "auto"), appending)
    assert "reason=replace" in history(site, began(site, "auto"), appending, history_mode="replace")


def test_a_key_for_titles_leaves_sessions_alone(site):
    titles, session = bearer(site, "--history-mode", "off"), began(site)
    assert history(site, session, titles) == "" and len(site.stored(session)) == 2
    unknown = fresh("unknown")
    assert history(site, unknown, titles) == ""
    error_of(site.call("GET", f"{SESSIONS}/{unknown}"), 404, "session_not_found")
    assert history(site, began(site, "append"), titles)


def test_a_key_is_changed_while_it_is_used(site):
    name = fresh("key")
    key = [("Authorization", f"Bearer {site.gateway.create_key('alice', name, '--history-mode', 'off')}")]
    assert history(site, began(site), key) == ""
    run("keys", "update", "--config", site.gateway.config_path, "--user", "alice", "--name", name, "--history-mode", "append")
    eventually(lambda: history(site, began(site), key), lambda report: "injected=2" in report, 3)
    run("keys", "update", "--config", site.gateway.config_path, "--user", "alice", "--name", name, "--history-mode", "default")
    eventually(lambda: history(site, began(site), key), lambda report: "reason=replace" in report, 3)


def test_a_dry_run_knows_the_key_too(site):
    session = began(site)
    ask = lambda headers: site.call("POST", f"{SESSIONS}/{session}/preview", b'{"model":"m","messages":[{"role":"user","content":"x"}]}', headers, user=None)
    assert ask(bearer(site, "--history-mode", "append")).json()["history"]["injected"] == 2
    assert ask(bearer(site)).json()["history"]["reason"] == "replace"
