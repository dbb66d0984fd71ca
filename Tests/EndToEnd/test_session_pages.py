"""Lists of messages, in every dialect: whole or by page, however many they are and however long."""
import json

import pytest

from harness.site import SESSIONS, error_of, fresh, said

DATABASES = "both"
ARRAYS = ["/api/v1/chat/sessions/{}/history", "/api/v1/chat/sessions/{}/messages", "/api/v1/sessions/{}/messages"]
COUNT = 250


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def get(site, target, **more):
    response = site.call("GET", target, timeout=60, **more)
    assert response.status == 200 and response.complete, response.raw[:500]
    return response


def filled(site, texts, **fields):
    """A session with messages of these texts; its id."""
    session = site.send("POST", SESSIONS, fields).json()["id"]
    add(site, session, texts)
    return session


def add(site, session, texts):
    body = json.dumps({"messages": [{**said(text), "chapter": f"c{index % 2}"} for index, text in enumerate(texts)]}).encode()
    assert site.call("POST", f"{SESSIONS}/{session}/messages", body, timeout=60).status == 201


def contents(response):
    """The contents of the messages in an answer of any dialect."""
    value = response.json()
    return [entry["content"] for entry in (value if isinstance(value, list) else value.get("data", value.get("messages")))]


@pytest.fixture(scope="module")
def many(site):
    texts = [f"m{index}" for index in range(COUNT)]
    return filled(site, texts), texts


@pytest.mark.parametrize("path", ARRAYS)
def test_an_array_has_the_whole_history_in_order_unless_a_page_is_asked_for(site, many, path):
    session, texts = many
    target = path.format(session)
    whole = get(site, target)
    assert contents(whole) == texts and whole.header("x-total-count") == str(COUNT)
    assert contents(get(site, target + "?order=desc")) == texts[::-1]
    assert contents(get(site, target + "?offset=240")) == texts[240:] and contents(get(site, target + "?offset=250")) == []
    chapter = get(site, target + "?chapter=c1")
    assert contents(chapter) == texts[1::2] and chapter.header("x-total-count") == str(COUNT // 2)
    pages = [get(site, f"{target}?limit=100&offset={offset}") for offset in (0, 100, 200, 300)]
    assert [text for page in pages for text in contents(page)] == texts and [len(contents(page)) for page in pages] == [100, 100, 50, 0]
    for limit in (1, 127, 128, 129, 249, 250, 251):
        assert contents(get(site, f"{target}?limit={limit}")) == texts[:limit], limit
    for wrong in ("limit=0", "limit=1001", "limit=x", "offset=-1"):
        error_of(site.call("GET", f"{target}?{wrong}"), 400, "invalid_value")


def test_history_has_100_messages_and_the_canonical_list_50_unless_the_request_says_otherwise(site, many):
    session, texts = many
    history = get(site, f"/api/v1/history?session_id={session}")
    assert contents(history) == texts[:100] and history.json()["total"] == COUNT
    rest = [get(site, f"/api/v1/history?session_id={session}&offset={offset}") for offset in (100, 200)]
    assert [text for page in rest for text in contents(page)] == texts[100:]
    for base in (SESSIONS, "/chat/sessions"):
        page = get(site, f"{base}/{session}/messages")
        assert contents(page) == texts[:50] and page.json()["limit"] == 50 and page.json()["total"] == COUNT
        assert page.json()["has_more"] and page.json()["next_cursor"] == "50"


def test_the_document_says_how_long_a_page_is(site):
    paths = site.contract.document["paths"]
    limit = lambda path: next(entry["description"] for entry in paths[path]["get"]["parameters"] if entry["name"] == "limit")
    assert "(default 100)" in limit("/api/v1/history")
    for path in (f"{SESSIONS}/{{id}}/messages", SESSIONS, "/api/v1/chat/sessions", "/api/v1/sessions"):
        assert "(default 50)" in limit(path), path
    for path in ARRAYS:
        assert "(all that there are, if it is not given)" in limit(path.format("{id}"))


def test_pages_by_cursor_and_offset_are_the_whole_list(site, many):
    session, texts = many
    for order, expected in (("asc", texts), ("desc", texts[::-1])):
        for limit in (1, 7, 125, 249, 250):
            target = f"{SESSIONS}/{session}/messages?limit={limit}&order={order}"
            if limit > 1:
                found, cursor = [], ""
                while cursor is not None:
                    page = get(site, target + (f"&cursor={cursor}" if cursor else ""))
                    assert page.json()["has_more"] == (page.json()["next_cursor"] is not None)
                    found, cursor = found + contents(page), page.json()["next_cursor"]
                assert found == expected, (order, limit)
            assert contents(get(site, f"{target}&offset=3")) == expected[3:3 + limit]


@pytest.fixture(scope="module")
def long(site):
    """A session with 9 MB in 14 messages, one of which is longer than any piece."""
    texts = [f"{index}" + "x" * (2_000_000 if index == 5 else 540_000) for index in range(14)]
    return filled(site, texts), texts


def test_no_page_is_cut_however_long_its_messages_are(site, long):
    session, texts = long
    for target in (f"/api/v1/history?session_id={session}", f"{SESSIONS}/{session}/messages?limit=50", ARRAYS[0].format(session)):
        response = get(site, target)
        assert [text[:3] for text in contents(response)] == [text[:3] for text in texts], target
        assert contents(response) == texts and response.header("transfer-encoding") == "chunked"
    target = ARRAYS[2].format(session)
    assert [text for offset in (0, 9) for text in contents(get(site, f"{target}?limit=9&offset={offset}"))] == texts
    page = get(site, f"{SESSIONS}/{session}/messages?limit=8").json()
    assert len(page["data"]) == 8 and page["next_cursor"] == "8" and page["has_more"]
    assert get(site, f"{SESSIONS}/{session}/messages?limit=6&offset=8").json()["has_more"] is False


def test_a_short_list_has_a_known_length(site):
    session = filled(site, ["a", "b"])
    for target in (f"/api/v1/history?session_id={session}", f"{SESSIONS}/{session}/messages", ARRAYS[0].format(session)):
        assert get(site, target).header("content-length")
    empty = site.send("POST", SESSIONS, {}).json()["id"]
    assert [contents(get(site, target.format(empty))) for target in (*ARRAYS, SESSIONS + "/{}/messages", "/api/v1/history?session_id={}")] == [[]] * 5


def test_history_takes_the_session_from_the_header_and_refuses_two(site):
    name = fresh("mine")
    session, other = filled(site, ["one"], id=name), filled(site, ["two"])
    for header in (session, name):
        shown = get(site, "/api/v1/history", headers=[("X-Session-ID", header)])
        assert contents(shown) == ["one"] and shown.json()["session_id"] == header
    same = get(site, f"/api/v1/history?session_id={session}", headers=[("X-Session-ID", session.removeprefix("sess_"))])
    assert same.json()["session_id"] == session
    for target, headers in (
        (f"?session_id={session}", [("X-Session-ID", other)]), (f"?session_id={session}&session_id={other}", []), ("", [("X-Session-ID", session), ("X-Session-ID", other)]),
    ):
        error_of(site.call("GET", f"/api/v1/history{target}", headers=headers), 400, "session_conflict")
    error_of(site.call("GET", "/api/v1/history", headers=[("X-Session-ID", session)], user="stranger"), 404, "session_not_found")
    error_of(site.call("GET", "/api/v1/history", headers=[("X-Session-ID", "")]), 400, "invalid_session_id")
