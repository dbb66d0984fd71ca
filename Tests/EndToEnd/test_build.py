"""scripts/build around the compiler: what it does with what was linked. Swift, BOLT and scripts/optimise are stand-ins."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "sh", "env", "sha256sum", "ln", "mv", "rm", "cat", "grep", "dirname", "mkdir", "sleep", "stat")
# Links when there is nothing, or when what it linked was touched, as SwiftPM does; `source` is the program's source.
SWIFT = """
mkdir -p out
case "$*" in *--show-bin-path*) echo "$PWD/out"; exit ;; esac
echo "$*" >arguments
stamp() { stat -c '%i %Y %s' out/turnpike 2>/dev/null; cat source; }
if [ "$(stamp)" != "$(cat linked 2>/dev/null)" ]; then
  rm -f out/turnpike; cat source >out/turnpike; echo x >>links
  stamp >linked
fi
"""
OPTIMISE = """
echo x >>trainings
if [ -e broken ]; then echo "optimise: llvm-bolt ended" >&2; exit 1; fi
{ echo "optimised"; cat "$1"; } >"$2"
"""


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Tree:
    """A directory with scripts/build as it is, and stand-ins for everything that it calls."""

    def __init__(self, directory):
        self.directory, self._tools = directory, directory / "tools"
        self._tools.mkdir()
        for tool in TOOLS:
            (self._tools / tool).symlink_to(shutil.which(tool))
        (self._tools / "python3").symlink_to(Path(sys.executable).resolve())
        script(self._tools / "swift", SWIFT)
        script(self._tools / "clang", "echo /usr/lib/there")
        script(self._tools / "uname", "echo x86_64")
        script(self._tools / "llvm-bolt-19", "echo version 19")
        script(directory / "scripts/contain", 'exec "$@"')
        script(directory / "scripts/optimise", OPTIMISE)
        script(directory / "scripts/train", "")
        shutil.copy(ROOT / "scripts/build", directory / "scripts/build")
        self.write("source", "program\n")

    def start(self, *arguments):
        """A build that goes on."""
        return subprocess.Popen(
            [self.directory / "scripts/build", *arguments], env={**os.environ, "PATH": str(self._tools)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def build(self, *arguments):
        """Builds, and returns what was said; it has to print the path of a program."""
        process = self.start(*arguments)
        printed, said = process.communicate(timeout=60)
        assert (process.returncode, printed) == (0, f"{self.directory}/out/turnpike\n"), said
        return said

    def remove(self, name):
        (self.directory / name).unlink()

    def write(self, name, text=""):
        (self.directory / name).write_text(text)

    def read(self, name):
        path = self.directory / name
        return path.read_text() if path.exists() else None

    def count(self, name):
        return (self.read(name) or "").count("x")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_the_optimised_program_is_the_one_and_the_plain_one_stays_beside_it(tree):
    assert tree.build() == ""
    assert tree.read("out/turnpike") == "optimised\nprogram\n"
    assert tree.read("out/turnpike-plain") == "program\n"
    assert "--emit-relocs" in tree.read("arguments") and "-fuse-ld=lld" in tree.read("arguments")


def test_what_did_not_change_is_neither_linked_nor_trained_again(tree):
    for _ in range(3):
        tree.build()
        assert tree.read("out/turnpike") == "optimised\nprogram\n"
    assert (tree.count("links"), tree.count("trainings")) == (1, 1)


@pytest.mark.parametrize("name, text", [("source", "another\n"), ("scripts/train", "#!/bin/sh\n# other load\n")])
def test_what_changed_is_trained_again(tree, name, text):
    tree.build()
    tree.write(name, text)
    tree.build()
    assert tree.count("trainings") == 2
    assert tree.read("out/turnpike") == f"optimised\n{tree.read('source')}"


def test_where_bolt_fails_the_plain_program_stays_and_it_is_tried_again(tree):
    tree.write("broken")
    assert "build: BOLT failed" in tree.build()
    assert tree.read("out/turnpike") == "program\n"
    tree.remove("broken")
    assert tree.build() == ""
    assert tree.read("out/turnpike") == "optimised\nprogram\n"


def test_a_failure_after_a_change_leaves_nothing_of_the_former_program(tree):
    tree.build()
    tree.write("source", "another\n")
    tree.write("broken")
    tree.build()
    assert tree.read("out/turnpike") == "another\n"


@pytest.mark.parametrize("tool", ["llvm-bolt-19", "python3"])
def test_without_what_it_needs_the_build_says_so_in_one_line(tree, tool):
    tree.remove(f"tools/{tool}")
    said = tree.build()
    assert said.startswith("build: without BOLT") and said.count("\n") == 1
    assert tree.read("out/turnpike") == "program\n" and "--emit-relocs" not in tree.read("arguments")


def test_on_another_processor_the_build_says_so_in_one_line(tree):
    script(tree.directory / "tools/uname", "echo aarch64")
    said = tree.build()
    assert said.startswith("build: without BOLT") and said.count("\n") == 1
    assert tree.read("out/turnpike") == "program\n" and "--emit-relocs" not in tree.read("arguments")


def test_without_profile_nothing_is_trained_and_what_is_optimised_can_be_made_again(tree):
    tree.build()
    tree.build("--no-profile", "--scratch-path", "x")
    assert tree.read("out/turnpike") == "program\n"
    assert tree.read("arguments").endswith("--scratch-path x\n")
    tree.build()
    assert tree.read("out/turnpike") == "optimised\nprogram\n" and tree.count("trainings") == 1


def test_who_ends_the_build_ends_the_training(tree):
    shutil.copy(ROOT / "scripts/contain", tree.directory / "scripts/contain")
    script(tree.directory / "scripts/optimise", 'echo "$$" >training\nexec sleep 600')
    build = tree.start()
    eventually(lambda: (tree.read("training") or "").endswith("\n"), timeout=60)
    build.terminate()
    assert build.wait(45) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(tree.read("training")), 0)
    assert tree.read("out/turnpike") == "program\n"


def test_it_explains_itself(tree):
    said = subprocess.run([ROOT / "scripts/build", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Usage: scripts/build [--no-profile]" in said


def test_the_counting_of_results_explains_itself():
    said = subprocess.run([ROOT / "scripts/count-results", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "PASSED FAILED" in said
