"""A process that is told to be alone on its database does not read versions, until another one comes."""
import pytest

from harness.client import exchange
from harness.gateway import Gateway
from harness.site import SESSIONS, said
from harness.waiting import eventually

DATABASES = "both"
ALONE = "This process is alone on the database"


@pytest.fixture(scope="module")
def site(open_site):
    site = open_site(session_cache={"shared_database": False})
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
    assert exchange(site.port, "GET", "/readyz").json().get("problems", {}).get("session_cache") is None


def test_another_process_ends_it(site, tmp_path, database):
    if site.database is None:
        settings = {"database": f"sqlite:{site.directory / 'turnpike.db'}", "spool": {"directory": str(tmp_path / "spool")}}
        settings["activity"] = {"spool": str(tmp_path / "activity-spool")}
    else:
        settings = {"database": site.database}
    talk = site.conversation()
    talk.say("one")
    first = site.gateway
    second = Gateway(tmp_path, site._providers, **{"default_provider": "scripted", **settings})
    try:
        for number in range(6):
            site.gateway = second if number % 2 == 0 else first
            talk.say(f"turn {number}")
            assert len(talk.texts) == 2 * number + 3
    finally:
        site.gateway = first
        second.stop()
    eventually(lambda: "but one does" in first.log)
    ready = exchange(site.port, "GET", "/readyz")
    site.contract.check("GET", "/readyz", ready)
    (problem,) = ready.json()["problems"]["session_cache"]
    assert "another process uses the database" in problem
