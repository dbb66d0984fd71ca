"""Whatever is sent to the endpoints of /openapi.json, nothing outside of it is answered."""
import pytest

from harness.fuzzing import fuzz, site_to_fuzz

DATABASES = "both"


@pytest.mark.timeout(420)
def test_schemathesis_finds_no_5xx_and_nothing_undocumented(open_site, tmp_path):
    fuzz(site_to_fuzz(open_site), tmp_path, {})
