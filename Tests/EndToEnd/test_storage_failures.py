"""When the storage fails, no client is told that its turn was kept, and nobody is answered without memory in silence."""

import pytest

from harness.client import exchange
from harness.events import events_of, is_done
from harness.site import Site, answered, error_of, fresh, said
from harness.sqlite_file import execute, locked
from harness.waiting import eventually

PATIENCE = 40


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        site.key()
        yield site


@pytest.mark.timeout(90)
@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_is_refused_for_no_fault_of_its_own_is_kept_until_that_is_mended(site, stream):
    conversation = site.conversation()
    conversation.say("one")
    execute(site, "ALTER TABLE messages RENAME TO messages_gone")
    conversation.say("two", stream=stream, timeout=PATIENCE)
    assert exchange(site.port, "GET", "/readyz").json()["spool"]["turns"] == 1
    execute(site, "ALTER TABLE messages_gone RENAME TO messages")
    eventually(lambda: exchange(site.port, "GET", "/readyz").json()["spool"]["turns"] == 0)
    assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]
    conversation.say("three")
    assert conversation.texts == ["one", "re: one", "two", "re: two", "three"]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("stream", [False, True])
def test_without_a_spool_a_turn_that_cannot_be_stored_is_never_shown_as_complete(tmp_path, stream):
    with Site(tmp_path, spool={"enabled": False}) as site:
        site.key()
        conversation = site.conversation()
        conversation.say("one")
        execute(site, "ALTER TABLE messages RENAME TO messages_gone")
        response = conversation.try_to_say("two", stream=stream, timeout=PATIENCE)
        assert response.status == 503 or not is_done(response.body), response.raw
        if response.status == 503:
            error_of(response, 503)
        execute(site, "ALTER TABLE messages_gone RENAME TO messages")
        assert conversation.stored == [said("one"), {**conversation.stored[1]}]
        conversation.say("three")
        assert conversation.texts == ["one", "re: one", "three"]


@pytest.mark.timeout(90)
def test_a_database_file_that_is_removed_is_an_outage_until_it_is_back(site):
    conversation = site.conversation()
    conversation.say("one")
    path, away = site.directory / "turnpike.db", site.directory / "away.db"
    path.rename(away)
    conversation.say("two", timeout=PATIENCE)
    eventually(lambda: exchange(site.port, "GET", "/readyz").status == 503)
    ready = site.readiness().json()
    assert "problems" not in exchange(site.port, "GET", "/readyz").json()
    assert "removed or replaced" in ready["problems"]["database"][0] and ready["spool"]["turns"] == 1
    assert not path.exists()
    away.rename(path)
    eventually(lambda: exchange(site.port, "GET", "/readyz").status == 200)
    eventually(lambda: exchange(site.port, "GET", "/readyz").json()["spool"]["turns"] == 0)
    assert conversation.stored_texts == ["one", "re: one", "two", "re: two"]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("stream", [False, True])
def test_a_commit_that_fails_is_an_error_and_the_finish_reason_is_not_sent(site, stream):
    conversation = site.conversation()
    conversation.say("one")
    execute(site, "CREATE TRIGGER refuse BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'no'); END")
    response = conversation.try_to_say("two", stream=stream, timeout=PATIENCE)
    if stream:
        assert response.status == 200 and not is_done(response.body) and b'"finish_reason":"stop"' not in response.body
        assert events_of(response.body)[-1].json()["error"]["code"] == "turn_not_stored"
    else:
        error_of(response, 503, "turn_not_stored")
    execute(site, "DROP TRIGGER refuse")
    conversation.say("three")
    assert conversation.texts == ["one", "re: one", "three"]


@pytest.mark.timeout(90)
def test_a_turn_waits_for_a_short_lock_and_is_stored_once(site):
    conversation = site.conversation()
    conversation.say("one")
    with locked(site):
        with site.open_chat("two", conversation.model, [("X-Session-ID", conversation.session)]) as connection:
            eventually(lambda: len(site.sent(conversation.model)) == 2)
        model = fresh("model")
        assert site.chat("stateless", model).status == 200
    conversation.say("three")
    texts = conversation.stored_texts
    assert texts[:2] == ["one", "re: one"] and texts.count("two") <= 1 and texts[-2:] == ["three", "re: three"]


@pytest.mark.timeout(90)
def test_history_that_cannot_be_read_is_503_and_reaches_no_upstream(tmp_path):
    with Site(tmp_path, session_cache={"max_size": 0}) as site:
        site.key()
        conversation = site.conversation()
        conversation.say("one")
        execute(site, "ALTER TABLE messages RENAME TO messages_gone")
        view = [said("one"), answered("re: one"), said("two")]
        before = len(site.sent(conversation.model))
        response = conversation.try_to_say(view, timeout=PATIENCE)
        error_of(response, 503)
        assert response.header("Retry-After") and len(site.sent(conversation.model)) == before


@pytest.mark.timeout(90)
def test_without_a_session_a_broken_store_costs_nothing(site):
    site.chat("x")
    execute(site, "ALTER TABLE messages RENAME TO messages_gone")
    execute(site, "ALTER TABLE sessions RENAME TO sessions_gone")
    assert site.chat("x").status == 200 and site.chat("x", stream=True).status == 200


@pytest.mark.timeout(90)
def test_a_missing_activity_table_costs_no_exchange(site):
    execute(site, "ALTER TABLE activity RENAME TO activity_gone")
    assert [site.conversation("s").try_to_say(str(number)).status for number in range(5)] == [200] * 5
    execute(site, "ALTER TABLE activity_gone RENAME TO activity")
    assert site.activity(site.chat("x"))


@pytest.mark.timeout(90)
def test_keys_that_were_seen_stay_good_while_the_database_is_away_and_others_are_503(site):
    assert site.chat("x").status == 200
    stranger = site.key("stranger")
    execute(site, "ALTER TABLE api_keys RENAME TO api_keys_gone")
    assert site.chat("x").status == 200
    response = site.call("GET", "/v1/models", user="stranger", timeout=PATIENCE)
    assert stranger and response.status == 503, response.raw
    error_of(response, 503, "authentication_unavailable")
    execute(site, "ALTER TABLE api_keys_gone RENAME TO api_keys")
    eventually(lambda: site.call("GET", "/v1/activity", user="stranger").status == 200)
