"""However a session that exists is changed, nothing outside of /openapi.json is answered."""
import pytest

from harness.fuzzing import fuzz, session_with_a_message, site_to_fuzz

DATABASES = "both"


@pytest.mark.timeout(420)
def test_schemathesis_finds_nothing_where_a_session_is_changed(open_site, tmp_path):
    site = site_to_fuzz(open_site)
    fuzz(site, tmp_path, session_with_a_message(site), "--include-method", "PUT", "--include-method", "PATCH")
