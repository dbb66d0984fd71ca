"""A process that is alone on its database does not read versions, until another one comes."""
import contextlib
import os
import signal
import sqlite3
import time

import pytest

from harness.client import exchange
from harness.gateway import Gateway
from harness.rows import execute
from harness.site import SESSIONS, said
from harness.sqlite_file import opened
from harness.waiting import eventually, together

DATABASES = "both"
ALONE = "This process is alone on the database"


@pytest.fixture(scope="module", params=["auto", False], ids=["by_chance", "told"])
def site(open_site, request):
    site = open_site(session_cache={"shared_database": request.param})
    site.is_told = request.param is False
    eventually(lambda: ALONE in site.gateway.log, timeout=15)
    return site


def test_what_the_process_changes_itself_is_seen_at_once(site):
    talk = site.conversation()
    talk.say("one")
    path = f"{SESSIONS}/{talk.session}"
    talk.say("two")
    assert talk.texts == ["one", "re: one", "two"]
    assert site.send("PATCH", path, {"max_history_messages": 2}).status == 200
    talk.say("three")
    assert talk.texts == ["two", "re: two", "three"]
    assert site.send("PATCH", path, {"max_history_messages": 20}).status == 200
    assert site.send("POST", f"{path}/messages", said("by the API")).status == 201
    talk.say("four")
    assert talk.texts[-2:] == ["by the API", "four"]
    talk.say([said("one"), {"role": "assistant", "content": "re: one"}, said("edited")])
    (branch,) = [entry for entry in site.call("GET", f"{path}/branches").json()["data"]]
    assert site.call("POST", f"{path}/branches/{branch['id']}/restore").status == 200
    talk.say("five")
    assert talk.texts[-2:] == ["re: four", "five"] and "edited" not in talk.texts
    assert site.call("DELETE", path).status in (200, 204)
    talk.say("begins anew")
    assert talk.texts == ["begins anew"]
    assert site.readiness().json().get("problems", {}).get("session_cache") is None


@pytest.mark.parametrize("stream", [False, True])
def test_no_turn_is_built_on_what_somebody_else_has_changed(open_site, stream):
    site = open_site(session_cache={"shared_database": "auto"})
    eventually(lambda: ALONE in site.gateway.log, timeout=15)
    talk = site.conversation()
    talk.say("one")
    execute(site, "UPDATE sessions SET version = version + 1, max_history = 0")
    refused = talk.try_to_say("two", stream=stream)
    if stream:
        assert b"turn_not_stored" in refused.body and b"[DONE]" not in refused.body
    else:
        assert (refused.status, refused.json()["error"]["code"]) == (503, "turn_not_stored")
    assert talk.stored_texts == ["one", "re: one"]
    talk.say("two", stream=stream)
    assert talk.texts == ["two"]
    assert talk.stored_texts == ["one", "re: one", "two", "re: two"]


@contextlib.contextmanager
def beside(site, directory, **settings):
    """A second process on the database of a site, of the same configuration, once the path `until` answers."""
    if site.database is None:
        settings["database"] = f"sqlite:{site.directory / 'turnpike.db'}"
        settings["spool"] = {"directory": str(directory / "spool")}
        settings["activity"] = {"spool": str(directory / "activity-spool")}
    second = Gateway(directory, site._providers, **{**site._settings, **settings})
    try:
        yield second
    finally:
        second.stop()


def test_another_process_ends_it(site, tmp_path):
    talk = site.conversation()
    talk.say("one")
    first = site.gateway
    with beside(site, tmp_path, session_cache={"shared_database": "auto"}) as second:
        try:
            for number in range(6):
                site.gateway = second if number % 2 == 0 else first
                talk.say(f"turn {number}")
                assert len(talk.texts) == 2 * number + 3
        finally:
            site.gateway = first
    ended = "but one does" if site.is_told else "versions of sessions are read again"
    eventually(lambda: ended in first.log)
    problems = site.readiness().json().get("problems", {}).get("session_cache", [])
    assert ["another process uses the database" in problem for problem in problems] == [True] * site.is_told


class Talks:
    """Some sessions that say the same at once, at one process or another; each turn has to know all that came before."""

    def __init__(self, site, count=6):
        self._site, self._first, self._texts = site, site.gateway, []
        self._talks = [site.conversation() for _ in range(count)]

    def say(self, text, at=None):
        """Says a text in every session, at `at` instead of the site's own process."""
        self._site.gateway = at or self._first
        try:
            together(lambda talk: self._say(talk, text), self._talks)
        finally:
            self._site.gateway = self._first
        self._texts += [text, f"re: {text}"]

    def are_stored(self):
        """Whether every session has all that was said in it, once and in order."""
        return [talk.stored_texts for talk in self._talks] == [self._texts] * len(self._talks)

    def _say(self, talk, text):
        """A process may refuse a turn for a while, as long as it has not asked the model."""
        asked = len(self._site.sent(talk.model))

        def answer():
            response = talk.try_to_say(text)
            if response.status == 200:
                return response
            assert response.status == 503 and response.header("retry-after"), (text, response.raw)
            assert len(self._site.sent(talk.model)) == asked, (text, response.raw)
            return None

        assert eventually(answer, timeout=10).complete
        assert len(self._site.sent(talk.model)) == asked + 1
        assert talk.texts == [*self._texts, text]


@pytest.fixture
def alone(open_site):
    """A site whose process takes itself to be alone, and sessions that it goes on with from memory."""
    site = open_site(session_cache={"shared_database": "auto"})
    talks = Talks(site)
    talks.say("one")
    eventually(lambda: ALONE in site.gateway.log, timeout=15)
    talks.say("two")
    talks.say("three")
    return site, talks


def test_a_process_that_comes_and_is_not_ready_yet_changes_nothing_behind_the_other_ones_back(alone, tmp_path):
    site, talks = alone
    with beside(site, tmp_path, until="/healthz") as second:
        assert exchange(second.port, "GET", "/readyz").status == 503
        for number in range(3):
            talks.say(f"there {number}", at=second)
            talks.say(f"here {number}")
        assert talks.are_stored()


def holds_a_lock(site):
    """Whether the process of a site is in the middle of a transaction that writes."""
    if site.database is not None:
        return execute(site, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_rows_locked + trx_rows_modified > 0") != [(0,)]
    with opened(site) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


@contextlib.contextmanager
def stopped(site):
    """The process of a site is stopped by a signal, where it holds nothing that others wait for. The body lets it go on."""
    go_on = lambda: os.kill(site.gateway.pid, signal.SIGCONT)
    os.kill(site.gateway.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 5
        while holds_a_lock(site) and time.monotonic() < deadline:
            go_on()
            time.sleep(0.01)
            os.kill(site.gateway.pid, signal.SIGSTOP)
        yield go_on
    finally:
        go_on()


def test_a_process_that_was_stopped_changes_nothing_behind_the_back_of_one_that_came_meanwhile(alone, tmp_path):
    site, talks = alone
    with stopped(site) as go_on, beside(site, tmp_path) as second:
        talks.say("four, there", at=second)
        eventually(lambda: ALONE in second.log, timeout=15)
        talks.say("five, there", at=second)
        talks.say("six, there", at=second)
        go_on()
        talks.say("seven, here")
        talks.say("eight, there", at=second)
        talks.say("nine, here")
        assert talks.are_stored()
