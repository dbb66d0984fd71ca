"""What is old goes, in the background, and only that; and a session lives as long as its configuration, user or self says."""
import time

import pytest

from harness.rows import execute
from harness.site import SESSIONS, Site, error_of
from harness.waiting import eventually

DATABASES = "both"
DAY = 86_400_000_000


def count(site, table):
    """How many rows a table has."""
    return execute(site, f"SELECT COUNT(*) FROM {table}")[0][0]


def test_deleted_and_expired_sessions_are_removed_and_others_stay(open_site):
    site = open_site(sessions={"purge_after": "0s", "ttl": "1d", "purge_every": "1s"})
    kept, deleted, expired = (site.conversation() for _ in range(3))
    for conversation in (kept, deleted, expired):
        conversation.say("one")
        conversation.say("two")
    # Its own time goes before the configured one.
    own = site.send("POST", SESSIONS, {"id": "own", "ttl": 30 * 86_400}).json()["id"]
    assert site.call("DELETE", f"{SESSIONS}/{deleted.session}").status in (200, 204)
    execute(site, f"UPDATE sessions SET last_message_at = last_message_at - {2 * DAY} "
                  f"WHERE external_id IN ('{expired.session}', 'own')")
    eventually(lambda: count(site, "sessions") == 2, timeout=10)
    assert (count(site, "messages"), count(site, "turns")) == (4, 2)
    assert kept.stored_texts == ["one", "re: one", "two", "re: two"]
    error_of(site.call("GET", f"{SESSIONS}/{expired.session}"), 404, "session_not_found")
    assert site.call("GET", f"{SESSIONS}/{own}").status == 200


def lifetimes(site, user):
    """A session that says nothing, one that says how long it lives, and one that a chat made: their ids and what they show."""
    ids = [site.send("POST", SESSIONS, fields, user=user).json()["id"] for fields in ({}, {"ttl": 86_400})]
    conversation = site.conversation(user=user)
    ids.append(conversation.say("hello").header("x-session-id"))
    return {session: site.call("GET", f"{SESSIONS}/{session}", user=user).json()["ttl"] for session in ids}


def test_a_session_lives_as_long_as_itself_its_user_or_the_configuration_says(open_site):
    site = open_site(sessions={"purge_after": "0s", "purge_every": "1s"}, plugins={"session": {"ttl": "1h", "users": {"bob": {"ttl": "10h"}}}})
    alice, bob = lifetimes(site, "alice"), lifetimes(site, "bob")
    assert list(alice.values()) == [3_600, 86_400, 3_600] and list(bob.values()) == [36_000, 86_400, 36_000]
    # Two hours pass: what lives an hour is gone at once for its user, and soon from the database.
    execute(site, f"UPDATE sessions SET expires_us = expires_us - {DAY // 12}")
    for session, ttl in alice.items():
        assert site.call("GET", f"{SESSIONS}/{session}").status == (200 if ttl > 7_200 else 404)
    listed = site.call("GET", SESSIONS).json()
    assert [entry["ttl"] for entry in listed["data"]] == [86_400] and listed["total"] == 1
    assert site.call("GET", SESSIONS, user="bob").json()["total"] == 3
    eventually(lambda: count(site, "sessions") == 4, timeout=10)
    # A chat moves the end: an hour from now, or as long as the session says.
    conversation = site.conversation()
    conversation.say("one")
    execute(site, f"UPDATE sessions SET expires_us = expires_us - {DAY // 48} WHERE external_id = '{conversation.session}'")
    left = lambda: site.call("GET", f"{SESSIONS}/{conversation.session}").json()["expires_at"] - time.time()
    assert 1_700 < left() < 1_900
    conversation.say("two")
    assert 3_500 < left() < 3_700


@pytest.mark.timeout(180)
def test_old_activity_is_removed(tmp_path):
    # On MariaDB whole partitions go, which is tested with the plugin.
    with Site(tmp_path, activity={"retention": "1h"}) as site:
        site.activity(site.chat("x"))
        execute(site, f"UPDATE activity SET created_us = created_us - {DAY}")
        site.gateway.stop()
        site.start()
        kept = site.activity(site.chat("x"))["created_us"]
        eventually(lambda: execute(site, "SELECT MIN(created_us) FROM activity")[0][0] > kept - DAY // 24, timeout=150)
        assert execute(site, f"SELECT COUNT(*) FROM activity WHERE created_us = {kept}")[0][0] == 1
