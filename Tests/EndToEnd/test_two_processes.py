"""Two gateways on one MariaDB behind a balancer: what one has stored, the other sees at once."""
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from harness import chat
from harness.answers import json_answer
from harness.balancer import Balancer
from harness.client import exchange
from harness.gateway import Gateway, binary, environment, run
from harness.site import SESSIONS, Site, error_of, fresh
from harness.waiting import eventually, together


class Pair(Site):
    """A site with two gateways, which are started at once; clients talk to a balancer before them."""

    def start(self):
        self._stack = ExitStack()
        (self.directory / "second").mkdir()
        with ThreadPoolExecutor(2) as pool, ExitStack() as started:
            first = pool.submit(super().start)
            started.callback(lambda: first.exception() or self.gateway.stop())
            self.second = Gateway(self.directory / "second", self._providers, **self._settings)
            started.callback(self.second.stop)
            first.result()
            started.pop_all()
        self._stack.callback(self.second.stop)
        self.balancer = self._stack.enter_context(Balancer([self.gateway.port, self.second.port]))

    def __exit__(self, *arguments):
        self._stack.close()
        super().__exit__(*arguments)

    @property
    def port(self):
        return self.balancer.port


@pytest.fixture(scope="module")
def pair(tmp_path_factory, mariadb):
    log = {"level": "info", "format": "text"}
    with Pair(tmp_path_factory.mktemp("pair"), database=mariadb.create_database(), log=log) as pair:
        yield pair


def test_processes_that_start_at_once_migrate_once_and_are_ready(pair, mariadb):
    for port in (pair.gateway.port, pair.second.port):
        assert exchange(port, "GET", "/readyz").status == 200
    line = r"A migration is applied\. component=(\w+) number=(\d+)"
    applied = [re.findall(line, gateway.log) for gateway in (pair.gateway, pair.second)]
    versions = mariadb.execute("SELECT component, version FROM schema_versions", pair.database.split("/")[3].split("?")[0])
    assert versions and Counter(applied[0] + applied[1]) == Counter(map(tuple, versions))


def test_alternating_turns_of_a_session_always_see_each_other(pair):
    talk, texts = pair.conversation(), []
    for number in range(20):
        talk.say(f"turn {number}")
        texts += [f"turn {number}", f"re: turn {number}"]
        assert talk.texts == texts[-22:-1]
    assert talk.stored_texts == texts


def test_streamed_turns_alternate_too(pair):
    talk = pair.conversation()
    for number in range(8):
        talk.say(f"turn {number}", stream=True)
        assert len(talk.texts) == 2 * number + 1


def test_many_sessions_at_once_lose_and_double_nothing(pair):
    pair.key()

    def hold(number):
        talk = pair.conversation(fresh(f"many-{number}"))
        for turn in range(6):
            talk.say(f"{number}.{turn}")
        return talk.stored_texts == [text for turn in range(6) for text in (f"{number}.{turn}", f"re: {number}.{turn}")]

    assert all(together(hold, range(24)))


def test_one_session_used_by_both_at_once_keeps_every_turn_whole(pair):
    session, model = fresh("hot"), fresh("model")
    pair.chat("begin", model, [("X-Session-ID", session)])
    say = lambda number: pair.chat(f"n{number}", model, [("X-Session-ID", session), ("X-History-Mode", "append")])
    assert [response.status for response in together(say, range(32))] == [200] * 32
    texts = [message["content"] for message in pair.stored(session)]
    assert len(texts) == 66
    assert sorted(texts[::2]) == sorted(["begin", *(f"n{number}" for number in range(32))])
    assert texts[1::2] == [f"re: {text}" for text in texts[::2]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_attempts_under_one_idempotency_key_at_two_processes_are_stored_once(pair, order):
    talk = pair.conversation()
    talk.say("hi")
    gates = [threading.Event(), threading.Event()]
    talk.answer(*(replace(json_answer(chat.completion(text)), gate=gate) for text, gate in zip(("one", "other"), gates)))
    with ThreadPoolExecutor(2) as pool:
        attempts = []
        for count in (2, 3):
            attempts.append(pool.submit(talk.say, "why?", [("Idempotency-Key", "k")]))
            eventually(lambda: len(pair.sent(talk.model)) == count)
        for index in order:
            gates[index].set()
            attempts[index].result()
    assert talk.stored_texts == ["hi", "re: hi", "why?", ("one", "other")[order[1]]]


def test_a_session_that_one_deletes_is_gone_for_the_other(pair):
    talk = pair.conversation()
    talk.say("x")
    assert pair.call("DELETE", f"{SESSIONS}/{talk.session}").status in (200, 204)
    for _ in range(2):
        error_of(pair.call("GET", f"{SESSIONS}/{talk.session}"), 404, "session_not_found")


def test_a_revoked_key_is_refused_by_both_within_two_seconds(pair):
    config = ["--config", pair.gateway.config_path]
    key = pair.gateway.create_key("carol", "phone")
    ask = lambda: pair.call("GET", SESSIONS, headers=[("Authorization", f"Bearer {key}")], user=None).status
    for _ in range(4):
        assert ask() == 200
    run("keys", "revoke", *config, "--user", "carol", "--name", "phone")
    # Two seconds are the promise.
    time.sleep(2)
    assert [ask() for _ in range(4)] == [401] * 4


def test_a_rotated_key_ends_in_both_processes_with_its_period_of_grace(pair):
    key = pair.gateway.create_key("dora", "phone")
    ask = lambda token: pair.call("GET", SESSIONS, headers=[("Authorization", f"Bearer {token}")], user=None).status
    statuses = lambda token: [ask(token) for _ in range(4)]
    assert statuses(key) == [200] * 4
    began = time.monotonic()
    new = run("keys", "rotate", "--config", pair.gateway.config_path, "--user", "dora", "--name", "phone", "--grace", "3s").strip()
    assert statuses(new) == statuses(key) == [200] * 4
    # Beyond the period of grace nobody waits: each process has learnt its end before.
    eventually(lambda: statuses(key) == [401] * 4, timeout=max(0, 3.5 - time.monotonic() + began))
    assert time.monotonic() - began >= 3 and statuses(new) == [200] * 4


def test_a_rotation_that_is_killed_between_its_steps_changes_nothing(pair, mariadb):
    key, name = pair.gateway.create_key("erin", "phone"), pair.database.split("/")[3].split("?")[0]
    whose = "WHERE user_id = (SELECT user_id FROM users WHERE name = 'erin')"
    seen = lambda: mariadb.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SELECT COUNT(*), COUNT(replaced_by) FROM api_keys {whose}", name)
    command = [binary(), "keys", "rotate", "--config", pair.gateway.config_path, "--user", "erin", "--name", "phone"]
    # Its last statement waits.
    with mariadb.holding("BEGIN; UPDATE changes SET generation = generation", "ROLLBACK", name):
        rotation = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            eventually(lambda: seen() == [["2", "1"]])
        finally:
            rotation.kill()
        assert rotation.communicate()[0] == b""
    eventually(lambda: seen() == [["1", "0"]], timeout=30)
    assert pair.call("GET", SESSIONS, headers=[("Authorization", f"Bearer {key}")], user=None).status == 200
    assert run(*command[1:], "--grace", "0s").startswith("tp-")
