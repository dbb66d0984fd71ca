"""What real clients send (Tests/Recorded) is forwarded with the same bytes, or refused with a clear error."""
import json
from pathlib import Path

import pytest

from harness.answers import json_answer
from harness.client import exchange
from harness.site import CHAT, PROVIDER_KEY, error_of

RECORDED = Path(__file__).resolve().parents[1] / "Recorded"
STATELESS = ("/v1/embeddings", "/v1/completions", "/v1/models")


def recordings():
    """(name, request) of everything that was recorded."""
    files = sorted(RECORDED.glob("*.json"))
    rows = [(path.stem, row) for path in files for row in json.loads(path.read_text())]
    return [pytest.param(row, id=f"{name}: {row['kind']}") for name, row in rows]


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


@pytest.fixture(scope="module")
def open_to_everything(open_site):
    return open_site(provider={"passthrough": ["*"]})


def replay(site, row):
    """Sends a recorded request with a key of ours; returns its response and what the upstream got, if anything."""
    headers = [(name, value) for name, value in row["headers"] if name.lower() not in ("authorization", "content-length", "host")]
    path = row["target"].split("?")[0]
    if path != CHAT:
        site.upstream.on(path, json_answer({"ok": True}))
    count = len(site.upstream.requests)
    body = (row["body"] or "").encode()
    response = exchange(site.port, row["method"], row["target"], [site.bearer(), *headers], body)
    return response, site.upstream.requests[count:]


def keeps_state(row):
    """Whether the request keeps or reads state in the provider's account."""
    return row["target"].split("?")[0] not in (*STATELESS, CHAT) or (row["method"], row["target"].split("?")[0]) == ("GET", CHAT)


def stores(row):
    """Whether the request asks the provider to store the completion."""
    return row["target"] == CHAT and bool(row["body"]) and json.loads(row["body"]).get("store") is True


def check_forwarded(row, response, forwarded):
    assert response.status == 200, response.raw
    (request,) = forwarded
    assert request.first_line == f"{row['method']} {row['target']} HTTP/1.1"
    assert request.body == (row["body"] or "").encode()
    dropped = ("authorization", "content-length", "host", "connection")
    expected = [(name, value) for name, value in row["headers"] if name.lower() not in dropped]
    assert [(name, value) for name, value in request.headers if name.lower() not in dropped] == expected
    assert request.header("Authorization") == f"Bearer {PROVIDER_KEY}"


def test_the_recordings_are_there():
    assert len(recordings()) > 100, f"no recordings in {RECORDED}"


@pytest.mark.parametrize("row", recordings())
def test_a_recorded_request_is_forwarded_as_it_came_or_refused_because_it_keeps_state(site, row):
    response, forwarded = replay(site, row)
    if keeps_state(row):
        error_of(response, 403, "endpoint_not_enabled")
        assert not forwarded
    elif stores(row):
        assert error_of(response, 400, "store_not_enabled")["param"] == "store"
        assert not forwarded
    else:
        check_forwarded(row, response, forwarded)


@pytest.mark.parametrize("row", recordings())
def test_a_provider_that_passes_everything_through_gets_every_recorded_request_as_it_came(open_to_everything, row):
    check_forwarded(row, *replay(open_to_everything, row))
