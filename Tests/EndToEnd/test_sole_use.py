"""A process that is alone on its database does not read versions, until another one comes."""
import pytest

from harness.client import exchange
from harness.gateway import Gateway
from harness.rows import execute
from harness.site import SESSIONS, said
from harness.waiting import eventually

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
    assert exchange(site.port, "GET", "/readyz").json().get("problems", {}).get("session_cache") is None


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
    ended = "but one does" if site.is_told else "versions of sessions are read again"
    eventually(lambda: ended in first.log)
    ready = exchange(site.port, "GET", "/readyz")
    site.contract.check("GET", "/readyz", ready)
    problems = ready.json().get("problems", {}).get("session_cache", [])
    assert ["another process uses the database" in problem for problem in problems] == [True] * site.is_told
