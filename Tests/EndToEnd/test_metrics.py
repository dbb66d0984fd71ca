"""Metrics: a text that Prometheus reads, true, documented, and for operators only."""
import re

from prometheus_client.parser import text_string_to_metric_families

import pytest

from harness.answers import json_answer
from harness.client import exchange
from harness.pages import DOCS
from harness.ports import free_port
from harness.site import Site
from harness.waiting import eventually


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def metrics(site):
    """The samples by name and labels, as Prometheus' own parser reads them."""
    answer = exchange(site.gateway.admin_port, "GET", "/metrics")
    assert answer.status == 200 and answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation and family.type in ("counter", "gauge", "histogram") for family in families)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def value(site, name, **labels):
    """One sample; 0 where there is none."""
    return metrics(site).get((name, tuple(sorted(labels.items()))), 0)


def requests(site, endpoint, status, outcome="completed"):
    """How many exchanges ended so."""
    return value(site, "turnpike_requests_total", endpoint=endpoint, status=status, outcome=outcome)


def documented():
    """The metrics of docs/metrics.md, with the kind of each where it is said; `…_bytes` goes on with the two words before."""
    kinds = {}
    for names, kind in re.findall(r"^\| (`[^|]+`) \| (\w*) *\|", (DOCS / "metrics.md").read_text(), re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", names):
            stem = "_".join(name.split("_")[:2]) if not name.startswith("…") else stem
            kinds[name.replace("…", stem)] = kind
    return kinds


def test_the_page_names_every_metric_and_no_other(site):
    told = dict(re.findall(r"^# TYPE (\w+) (\w+)$", exchange(site.gateway.admin_port, "GET", "/metrics").body.decode(), re.MULTILINE))
    kinds = documented()
    assert told.keys() - kinds.keys() == set(), "add them to docs/metrics.md"
    assert kinds.keys() - told.keys() == set(), "nothing counts these any more"
    assert {name: kind for name, kind in kinds.items() if kind} == {name: told[name] for name, kind in kinds.items() if kind}


def test_exchanges_are_counted_by_endpoint_status_and_outcome(site):
    before = [requests(site, "chat_completions", "2xx"), requests(site, "own", "4xx", "refused")]
    for _ in range(3):
        site.conversation().say("one")
    site.call("GET", "/v1/models", user=None)
    eventually(lambda: requests(site, "chat_completions", "2xx") == before[0] + 3)
    eventually(lambda: requests(site, "own", "4xx", "refused") == before[1] + 1)
    labels = {"endpoint": "chat_completions"}
    assert value(site, "turnpike_request_duration_seconds_count", **labels) >= 3
    assert value(site, "turnpike_request_duration_seconds_bucket", le="+Inf", **labels) >= 3
    assert value(site, "turnpike_first_byte_seconds_sum", **labels) > 0
    assert value(site, "turnpike_requests_in_flight") == 0


def test_a_request_under_way_and_its_connection_are_seen(site):
    model = site.script("slow", json_answer({"choices": []}).stalled_at(10))
    before = value(site, "turnpike_connections", listener="clients")
    with site.open_chat("x", model):
        eventually(lambda: value(site, "turnpike_requests_in_flight") == 1)
        assert value(site, "turnpike_connections", listener="clients") == before + 1
    eventually(lambda: value(site, "turnpike_requests_in_flight") == 0)


def test_errors_of_providers_are_counted_by_kind(site):
    model = site.script("broken", json_answer({"error": {}}, status=503))
    site.chat("x", model)
    eventually(lambda: value(site, "turnpike_upstream_errors_total", provider="scripted", kind="http_5xx") >= 1)


def test_a_target_that_failed_is_counted_although_the_exchange_ends_well(open_site):
    nobody = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
    targets = [{"provider": "nobody", "weight": 1}, {"provider": "scripted", "weight": 0}]
    site = open_site(providers={"nobody": nobody}, models={"m": {"targets": targets}})
    for count in (1, 2):
        assert site.chat("x", "m").status == 200
        assert value(site, "turnpike_fallbacks_total", provider="nobody") == count
    assert value(site, "turnpike_fallbacks_total", provider="scripted") == 0


def test_the_process_and_its_parts_show_themselves(site):
    assert value(site, "turnpike_database_up") == 1
    assert 10 << 20 < value(site, "process_resident_memory_bytes") < 1 << 30
    assert value(site, "process_cpu_seconds_total") > 0 and value(site, "process_open_fds") > 5
    assert value(site, "turnpike_buffered_limit_bytes") == 512 << 20
    assert value(site, "turnpike_lane_pending", lane="turns") == 0
    assert value(site, "turnpike_activity_lost_total") == 0


def test_nothing_of_a_user_a_session_or_a_model_is_told(site):
    conversation = site.conversation()
    conversation.say("a secret word")
    text = exchange(site.gateway.admin_port, "GET", "/metrics").body.decode()
    for word in ("alice", conversation.session, conversation.model, "secret", site.key()):
        assert word not in text


def test_clients_do_not_reach_the_metrics(site):
    assert exchange(site.port, "GET", "/metrics").status == 401
    assert site.call("GET", "/metrics").status == 404


def test_a_database_that_is_away_is_seen(tmp_path):
    blocked = tmp_path / "data"
    blocked.write_text("")
    spool = {"directory": str(tmp_path / "spool")}
    with Site(tmp_path, database=f"sqlite:{blocked}/turnpike.db", until="/healthz", spool=spool) as site:
        assert value(site, "turnpike_database_up") == 0
        blocked.unlink()
        eventually(lambda: value(site, "turnpike_database_up") == 1)
