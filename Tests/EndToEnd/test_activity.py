"""One activity row for each exchange, however it ended."""
import pytest

from harness import chat
from harness.answers import error_answer, json_answer, sse_answer
from harness.ports import free_port
from harness.site import CHAT, bare, fresh
from harness.waiting import eventually, together

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    return open_site(providers={"refusing": {"base_url": f"http://127.0.0.1:{free_port()}/v1"}},
                     models={"*": {"provider": "scripted"}, "refused": {"provider": "refusing"}})


def test_a_completed_exchange_has_a_row_with_model_usage_and_times(site):
    model = fresh("model")
    row = site.activity(site.chat("x", model))
    assert (row["ending"], row["status"], row["upstream_status"], row["error_code"]) == ("completed", 200, 200, None)
    assert (row["method"], row["path"], row["provider"]) == ("POST", CHAT, "scripted")
    assert row["requested_model"] == row["model"] == model and row["streamed"] is False
    assert row["request_bytes"] > 0 and row["response_bytes"] > 0 and row["total_us"] >= row["first_byte_us"] > 0


def test_the_tokens_of_an_exchange_in_a_session_are_recorded(site):
    conversation = site.conversation().answer(json_answer(chat.completion()))
    row = site.activity(conversation.say("x"))
    assert row["usage"]["total_tokens"] == 12 and row["capture_status"] == "complete"
    assert bare(row["session_id"]) == bare(conversation.say("y").header("x-session-id"))


def test_an_exchange_with_a_model_of_known_prices_has_its_cost(site):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    site.script("gpt-4o", json_answer({**chat.completion(), "usage": usage}))
    # 2.50 and 10 dollars for a million tokens.
    assert site.activity(site.chat("x", "gpt-4o"))["cost_micros"] == 3500
    assert site.activity(site.chat("x", fresh("model")))["cost_micros"] is None


def test_a_refused_exchange_has_a_row(site):
    row = site.activity(site.chat("x", session_id="nobody"))
    assert (row["ending"], row["status"], row["error_code"]) == ("refused", 404, "session_not_found")


def test_an_exchange_with_a_body_that_cannot_be_read_has_a_row(site):
    assert site.activity(site.call("POST", CHAT, b"{"))["status"] == 400


def test_an_exchange_that_the_upstream_refused_has_a_row(site):
    model = site.script(fresh("model"), error_answer(429))
    row = site.activity(site.chat("x", model))
    assert (row["status"], row["upstream_status"]) == (429, 429)


def test_an_exchange_whose_upstream_cannot_be_reached_has_a_row(site):
    row = site.activity(site.chat("x", "refused"))
    assert (row["status"], row["error_code"]) == (502, "upstream_unreachable")
    assert row["ending"] in ("refused", "failed")


def test_an_exchange_that_broke_off_has_a_row(site):
    answer = sse_answer(chat.text_events())
    model = site.script(fresh("model"), answer.cut_at(sum(map(len, answer.pieces[:3]))))
    row = site.activity(site.chat("x", model, stream=True))
    assert (row["ending"], row["status"], row["streamed"]) == ("failed", 200, True)


def test_an_exchange_whose_client_left_has_a_row(site):
    answer = sse_answer(chat.text_events())
    model = site.script(fresh("model"), answer.stalled_at(sum(map(len, answer.pieces[:3]))))
    with site.open_chat("x", model, stream=True) as connection:
        connection.read_until(b"Hel")
        connection.reset()
    rows = lambda: site.call("GET", "/v1/activity?limit=200").json()["data"]
    row = eventually(lambda: next((row for row in rows() if row["requested_model"] == model), None))
    assert row["ending"] == "abandoned"


def test_reading_sessions_has_a_row_too(site):
    assert site.activity(site.call("GET", "/v1/chat/sessions"))["status"] == 200


def test_a_hundred_exchanges_at_once_have_a_row_each_and_no_more(site):
    model = fresh("model")
    site.key("counter")
    responses = together(lambda _: site.chat("x", model, user="counter"), range(100))
    ids = {bare(response.header("x-turnpike-request-id")) for response in responses}
    rows = lambda: site.call("GET", "/v1/activity?limit=200", user="counter").json()["data"]
    mine = lambda: [bare(row["id"]) for row in rows() if row["requested_model"] == model]
    eventually(mine, lambda found: len(found) >= 100)
    assert sorted(mine()) == sorted(ids) and len(ids) == 100


def test_pages_show_every_row_once(site):
    for _ in range(7):
        site.chat("x", user="pager")
    eventually(lambda: len(site.call("GET", "/v1/activity?limit=200", user="pager").json()["data"]) >= 7)
    rows = []
    target = "/v1/activity?limit=3"
    while target and len(rows) < 100:
        page = site.call("GET", target, user="pager").json()
        rows += [row["id"] for row in page["data"]]
        target = page["has_more"] and f"/v1/activity?limit=3&before={page['next_before']}"
    assert len(rows) >= 7 and len(set(rows)) == len(rows)


def test_the_sums_count_each_ending(site):
    site.chat("x", user="summer")
    site.chat("x", user="summer", session_id="nobody")
    stats = lambda: site.call("GET", "/v1/activity/stats", user="summer").json()
    found = eventually(stats, lambda sums: sums["completed"] >= 1 and sums["refused"] >= 1)
    assert found["requests"] >= 2
