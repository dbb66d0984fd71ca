"""Whatever is asked of a session that exists, nothing outside of /openapi.json is answered."""
import pytest

from harness.fuzzing import fuzz, session_with_a_message, site_to_fuzz
from harness.site import SESSIONS

DATABASES = "both"


@pytest.mark.timeout(420)
def test_schemathesis_finds_nothing_where_there_is_a_session(open_site, tmp_path):
    site = site_to_fuzz(open_site)
    place = session_with_a_message(site)
    # A change may make it expire after a second: test_api_fuzzing_changes has those.
    fuzz(site, tmp_path, place, *(option for method in ("DELETE", "PUT", "PATCH") for option in ("--exclude-method", method)))
    assert site.call("GET", f"{SESSIONS}/{place['path.id']}").status == 200
