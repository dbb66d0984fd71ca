"""What is old goes, in the background, and only that."""
import pytest

from harness.site import SESSIONS, Site
from harness.sqlite_file import execute
from harness.waiting import eventually

DAY = 86_400_000_000


def count(site, table):
    """How many rows a table has."""
    return execute(site, f"SELECT COUNT(*) FROM {table}")[0][0]


def test_deleted_and_expired_sessions_are_removed_and_others_stay(tmp_path):
    with Site(tmp_path, sessions={"purge_after": "0s", "ttl": "1d", "purge_every": "1s"}) as site:
        kept, deleted, expired = (site.conversation() for _ in range(3))
        for conversation in (kept, deleted, expired):
            conversation.say("one")
            conversation.say("two")
        assert site.call("DELETE", f"{SESSIONS}/{deleted.session}").status in (200, 204)
        execute(site, f"UPDATE sessions SET last_message_at = last_message_at - {2 * DAY} "
                      f"WHERE external_id = '{expired.session}'")
        eventually(lambda: count(site, "sessions") == 1, timeout=10)
        assert (count(site, "messages"), count(site, "turns")) == (4, 2)
        assert kept.stored_texts == ["one", "re: one", "two", "re: two"]
        assert site.call("GET", f"{SESSIONS}/{expired.session}").status == 404


@pytest.mark.timeout(180)
def test_old_activity_is_removed(tmp_path):
    with Site(tmp_path, activity={"retention": "1h"}) as site:
        site.activity(site.chat("x"))
        execute(site, f"UPDATE activity SET created_us = created_us - {DAY}")
        site.gateway.stop()
        site.start()
        kept = site.activity(site.chat("x"))["created_us"]
        eventually(lambda: execute(site, "SELECT MIN(created_us) FROM activity")[0][0] > kept - DAY // 24, timeout=150)
        assert execute(site, f"SELECT COUNT(*) FROM activity WHERE created_us = {kept}")[0][0] == 1
