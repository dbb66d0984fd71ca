"""Features that are switched: for all, for some users, keys and models, and for a part of the users."""
import pytest

from harness.site import fresh

USERS = [f"user-{number}" for number in range(20)]


def remembers(site, user="alice", model=None):
    """Whether the second question of a session brings the first one along."""
    conversation = site.conversation(user=user, model=model)
    conversation.say("first")
    conversation.say("second")
    return len(conversation.seen) == 3


@pytest.mark.parametrize("flag, expected", [(True, True), (False, False)])
def test_a_flag_switches_a_feature_for_all(open_site, flag, expected):
    site = open_site(flags={"history": flag})
    assert remembers(site) is expected


def test_a_feature_that_is_allowed_to_some_is_theirs_only(open_site):
    site = open_site(flags={"history": {"allow": {"users": ["alice"], "models": ["gpt-4*"]}}})
    assert remembers(site, "alice")
    assert not remembers(site, "bob")
    assert remembers(site, "bob", model=fresh("gpt-4o"))


def test_who_is_denied_a_feature_does_not_have_it(open_site):
    site = open_site(flags={"history": {"deny": {"users": ["bob"]}}})
    assert remembers(site, "alice")
    assert not remembers(site, "bob")


def test_a_feature_can_be_denied_to_a_key(open_site):
    site = open_site(flags={"history": {"deny": {"keys": ["laptop"]}}})
    assert not remembers(site, "alice")


def test_a_rollout_reaches_about_its_share_of_the_users_and_always_the_same(open_site):
    site = open_site(flags={"history": {"rollout": 50}})
    once = [remembers(site, user) for user in USERS]
    assert 3 <= sum(once) <= 17
    assert [remembers(site, user) for user in USERS] == once


def test_a_larger_rollout_keeps_whom_a_smaller_one_had(open_site):
    small, large = (open_site(flags={"history": {"rollout": share}}) for share in (30, 70))
    kept = [(remembers(small, user), remembers(large, user)) for user in USERS]
    assert all(later for earlier, later in kept if earlier)
    assert any(earlier for earlier, _ in kept) and not all(later for _, later in kept)


def test_an_activity_row_tells_which_configured_features_were_on(open_site):
    site = open_site(flags={"history": False, "capture": {"allow": {"users": ["alice"]}}})
    assert site.activity(site.conversation().say("x"))["flags"] == ["capture"]
    assert site.activity(site.conversation(user="bob").say("x"), "bob")["flags"] == []
