"""Users who use the same session ids never meet, on any route; an unknown session and another's look the same."""
import itertools
import re

import pytest

from harness.site import SESSIONS, error_of, fresh
from harness.waiting import together

DATABASES = "both"

USERS = ("alice", "bob")


@pytest.fixture(scope="module")
def site(open_site):
    return open_site()


def own(site, user, session):
    """A conversation of `user` in which something was said."""
    conversation = site.conversation(session, user)
    conversation.say(f"{user}'s secret in {session}")
    return conversation


def server_id(response):
    return response.header("x-session-id")


def test_the_same_session_id_of_two_users_is_two_sessions(site):
    session = fresh("shared")
    conversations = [own(site, user, session) for user in USERS]
    for user, conversation in zip(USERS, conversations):
        conversation.say("and then?")
        assert conversation.texts == [f"{user}'s secret in {session}", f"re: {user}'s secret in {session}", "and then?"]
        assert all("secret" not in text or user in text for text in conversation.stored_texts)


def test_the_same_external_conversation_of_two_users_is_two_sessions(site):
    name = {"agent_id": "support", "external_conv_id": fresh("conv")}
    ids = {}
    for user in USERS * 2:
        response = site.chat(f"{user} here", fresh("model"), user=user, session=name)
        ids.setdefault(user, set()).add(server_id(response))
    assert all(len(found) == 1 for found in ids.values()) and ids["alice"] != ids["bob"]


@pytest.mark.parametrize("form", ["as it is printed", "as a UUID", "as the client chose it"])
def test_another_users_session_is_404_on_every_route_and_stays_as_it_was(site, form):
    chosen = fresh("private")
    alice = site.conversation(chosen)
    printed = server_id(alice.say("mine"))
    digits = printed.rpartition("_")[2].replace("-", "")
    uuid = re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", digits) if len(digits) == 32 else printed
    name = {"as it is printed": printed, "as a UUID": uuid, "as the client chose it": chosen}[form]
    for prefix, (method, rest) in itertools.product(
        (SESSIONS, "/chat/sessions"), (("GET", ""), ("DELETE", ""), ("GET", "/messages"))
    ):
        error_of(site.call(method, f"{prefix}/{name}{rest}", user="bob"), 404, "session_not_found")
    model = fresh("model")
    error_of(site.chat("x", model, user="bob", session_id=name), 404, "session_not_found")
    error_of(site.chat("x", model, user="bob", query=f"?session_id={name}"), 404, "session_not_found")
    site.chat("x", model, [("X-Session-ID", name)], user="bob")
    assert all("mine" not in str(request.json()) for request in site.sent(model))
    assert alice.stored_texts == ["mine", "re: mine"]


def test_a_list_shows_only_its_users_sessions(site):
    for user in USERS:
        own(site, user, fresh(user))
    lists = {user: site.call("GET", f"{SESSIONS}?limit=200", user=user) for user in USERS}
    ids = {user: {entry["id"] for entry in response.json()["data"]} for user, response in lists.items()}
    assert ids["alice"] and ids["bob"] and not ids["alice"] & ids["bob"]
    for user, other in (USERS, USERS[::-1]):
        assert f"{other}'s secret".encode() not in lists[user].raw


def test_what_looks_like_a_wildcard_or_sql_is_just_a_name(site):
    own(site, "alice", fresh("target"))
    for name in ("%", "_", "target%", "' OR '1'='1", "*", "1 OR 1=1", "\\", "%25"):
        response = site.chat("x", user="bob", session_id=name)
        error_of(response, 404, "session_not_found")


def test_a_user_cannot_be_chosen_by_the_client(site):
    alice = own(site, "alice", fresh("mine"))
    claims = [("X-User", "alice"), ("X-User-ID", "alice"), ("X-Turnpike-User", "alice"), ("OpenAI-Organization", "alice")]
    response = site.chat("x", user="bob", headers=claims, session_id=alice.session, user_id="alice")
    error_of(response, 404, "session_not_found")


def test_activity_shows_only_ones_own_exchanges(site):
    alice, bob = site.chat("x"), site.chat("x", user="bob")
    assert site.activity(alice) and site.activity(bob, "bob")
    ids = {user: {row["id"] for row in site.call("GET", "/v1/activity?limit=200", user=user).json()["data"]} for user in USERS}
    assert not ids["alice"] & ids["bob"]


def test_two_users_at_once_in_sessions_of_the_same_names_never_mix(site):
    names = [fresh("busy") for _ in range(4)]
    for user in USERS:
        site.key(user)
    talk = list(itertools.product(names, USERS, range(6)))
    together(lambda turn: site.conversation(turn[0], turn[1]).say(f"{turn[1]} {turn[2]}"), talk)
    for name, user in itertools.product(names, USERS):
        texts = site.conversation(name, user).stored_texts
        assert len(texts) == 12 and all(text.removeprefix("re: ").startswith(user) for text in texts)
