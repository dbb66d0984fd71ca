"""What was stored by a release that compared messages by other rules is recognised by this one."""
import pytest

from harness.rows import execute
from harness.site import answered, said

DATABASES = "both"
TURNS = [message for number in range(4) for message in (said(f"q{number}"), answered(f"re: q{number}"))]


def make_old(site, condition):
    """Stores digests of an earlier version for the messages that meet a condition; the gateway is started anew."""
    site.gateway.stop()
    empty = "zeroblob(32)" if site.database is None else "REPEAT(0x00, 32)"
    execute(site, f"UPDATE messages SET digest_version = 0, digest = {empty} WHERE {condition}")
    site.start()


@pytest.mark.parametrize("condition", ["seq > 0", "seq <= 3", "seq > 5", "seq % 2 = 0"])
def test_sessions_of_an_earlier_release_go_on(open_site, condition):
    site = open_site()
    whole, window, edited = (site.conversation() for _ in range(3))
    for talk in (whole, window, edited):
        for number in range(4):
            talk.say(f"q{number}")
    make_old(site, condition)
    whole.say([*TURNS, said("more")])
    assert whole.seen == [*TURNS, said("more")] and len(whole.stored) == 10
    window.say([*TURNS[-2:], said("more")])
    assert window.texts == [message["content"] for message in TURNS] + ["more"] and len(window.stored) == 10
    edited.say([*TURNS[:4], said("other")])
    assert edited.stored_texts == ["q0", "re: q0", "q1", "re: q1", "other", "re: other"]
    # And once more, on what is now stored by both.
    for talk in (whole, window, edited):
        stored = talk.stored
        talk.say([*stored, said("again")])
        assert len(talk.stored) == len(stored) + 2
