"""Requests without a valid key: they cost little, whatever they do."""
import sqlite3
import time

import pytest

from harness.client import Connection, request_bytes
from harness.site import CHAT, error_of
from harness.waiting import eventually, together


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def rows(site, code):
    """How many rows without a user there are for an error code, and how many requests they stand for."""
    query = "SELECT COUNT(*), COALESCE(SUM(requests), 0), MIN(status) FROM activity WHERE user_id IS NULL AND error_code = ?"
    with sqlite3.connect(f"file:{site.directory / 'turnpike.db'}?mode=ro", uri=True) as database:
        return database.execute(query, (code,)).fetchone()


def test_a_flood_is_counted_exactly_in_few_rows(site):
    began = time.monotonic()
    answers = together(lambda _: site.call("POST", CHAT, b"{}", user=None), range(400))
    codes = {error_of(answer, 401)["code"] for answer in answers}
    seconds = time.monotonic() - began
    (code,) = codes
    count, requests, status = eventually(lambda: rows(site, code), lambda found: found[1] == 400, timeout=10)
    assert status == 401 and count <= seconds + 2, (count, seconds)


@pytest.mark.parametrize("length", [10_000, 10_000_000], ids=["that could be dropped", "that could not"])
def test_a_body_that_dribbles_behind_a_401_is_cut_off(site, length):
    head = request_bytes("POST", CHAT, [("Content-Type", "application/json"), ("Content-Length", length)])
    began = time.monotonic()
    with Connection(site.port, timeout=20) as connection:
        connection.send(head)
        error_of(connection.read_response(), 401)
        with pytest.raises(OSError):
            while time.monotonic() - began < 15:
                connection.send(b" ")
                time.sleep(0.1)
    assert time.monotonic() - began < 8, "each piece must not buy another wait"


def test_a_key_still_works_beside_it(site):
    assert site.chat("x").status == 200
