"""What stands on a plugin's own page is what the plugin reads."""
import re
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
READING = re.compile(r"""section\.(?:string|strings|int|bool|choice|bytes|duration|double|section|secret)\(\s*"(\w+)\"""")


@pytest.mark.parametrize("plugin", sorted(path.parent.name for path in PLUGINS.glob("*/README.md")))
def test_a_plugins_page_names_every_key_of_its_configuration(plugin):
    read = {key for file in (PLUGINS / plugin / "Sources").rglob("*.swift") for key in READING.findall(file.read_text())}
    page = (PLUGINS / plugin / "README.md").read_text()
    assert read or "configuration | none" in page
    assert {key for key in read if not re.search(rf"\b{key}\b", page)} == set()
