"""`turnpike tokens count` counts what tiktoken counts."""
import json
import random
import re
import string
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.gateway import binary, environment
from harness.vocabulary import NAMES, encoding, table

ROOT = Path(__file__).resolve().parents[2]
# With counts of tiktoken 0.14.0; sources and licences in Tests/Recorded/README.md.
RECORDED = [json.loads(line) for line in (ROOT / "Tests/Recorded/tokens.jsonl").read_text().splitlines()]
PUBLISHED = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


def tokens_count(*arguments, text=""):
    done = subprocess.run(
        [binary(), "tokens", "count", *map(str, arguments)], input=text.encode(), env=environment(), capture_output=True, timeout=120)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def counts(name, texts):
    """Our counts of the texts, by the command."""
    lines = "".join(json.dumps(text, ensure_ascii=index % 2 == 0) + "\n" for index, text in enumerate(texts))
    status, out, err = tokens_count("--encoding", name, text=lines)
    assert (status, err) == (0, "")
    return list(map(int, out.split()))


def differences(name, texts):
    """The texts that tiktoken counts otherwise."""
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(counts, name, texts)
        wanted = [len(encoding(name).encode_ordinary(text)) for text in texts]
    return [(text[:200], ours, theirs) for text, ours, theirs in zip(texts, found.result(), wanted, strict=True) if ours != theirs]


@pytest.mark.parametrize("name", NAMES)
def test_the_packed_vocabulary_is_the_published_one(name):
    assert table(name).published_checksum() == PUBLISHED[name]
    assert all(table(name).rank(token) == rank for rank, token in enumerate(table(name).tokens))


@pytest.mark.parametrize("name", NAMES)
def test_recorded_texts_have_the_recorded_counts(name):
    texts = [row["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace") for row in RECORDED]
    wrong = [row["id"] for row, count in zip(RECORDED, counts(name, texts), strict=True) if count != row[name]]
    assert wrong == []


WORDS = """the of And HTTPServer fooBar snake_case I'm you'LL we'Ve it'S DON'T o'clock 's 'ſ 'LL 're don’t naïve Straße ΣΊΣΥΦΟΣ МОСКВА москва ǅenan ʰʰ ªº
 İstanbul ſſ ꟸ 中文字符 日本語テスト 한국어 ไทยภาษา اللغة العربية עִבְרִית हिन्दी தமிழ் বাংলা 𝒳𝔘𝟘 Ⅷ ½ ٣٤٥ ① 1234567890 0x7f 3.14159 e\u0301e\u0301 \u0301\u0302 \u200d \u200b \ufeff
 👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪 ☃️ ... !!! -- // /// ?? => </div> {"a":[1,2]} <|endoftext|> <|im_start|> \0 \x1b \x7f \x85 \ufffd \U000f0000 \U0010ffff \u2028 \u2029""".split(" ")
SPACES = ["", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000", "\u2003", "\x0b", "\x0c", "\x1c", "\x85"]


def mixed_text(source):
    return "".join(source.choice(WORDS) + source.choice(SPACES) for _ in range(source.randrange(1, 40)))


def code_points(source):
    blocks = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x900), (0x900, 0x1200), (0x1200, 0x3000), (0x3000, 0xD800), (0xE000, 0x20000), (0x20000, 0x110000)]
    low, high = source.choice(blocks)
    return "".join(chr(source.randrange(low, high)) for _ in range(source.randrange(1, 60)))


def letters(source):
    alphabet = source.choice(["ab", string.ascii_lowercase, string.ascii_uppercase, string.ascii_letters + string.digits + "+/", string.punctuation, "aAbB'sS \n", "éÉßſ", "中文字", "0123456789", " \n\t\r", "=-_*#/"])
    return "".join(source.choice(alphabet) for _ in range(source.randrange(1, 300)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [mixed_text, code_points, letters], ids=lambda make: make.__name__)
def test_generated_texts_are_counted_as_tiktoken_does(name, make):
    source = random.Random(f"{name} {make.__name__}")
    assert differences(name, [make(source) for _ in range(2_000)]) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_code_point_splits_a_text_as_it_does_for_tiktoken(name):
    """Alone, in a word, behind a capital, before a letter, behind white space: what the rules tell apart."""
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    texts = ["".join(f"a{point}b {point}C1{point}\n{point} " for point in points[start : start + 64]) for start in range(0, len(points), 64)]
    assert differences(name, texts) == []


@pytest.mark.parametrize("name", NAMES)
def test_source_code_and_documents_are_counted_as_tiktoken_does(name):
    paths = sorted(path for kind in ("*.swift", "*.py", "*.md") for path in ROOT.glob(f"Sources/**/{kind}")) + [ROOT / "LICENSE", *ROOT.glob("*.md")]
    assert differences(name, [path.read_text() for path in paths]) == []


@pytest.mark.parametrize("unit", ["a", " ", "ab", "\n", "é", "中", "."])
def test_long_runs_are_counted_and_do_not_crash(unit):
    text = unit * (300_000 // len(unit))
    assert 0 < counts("o200k_base", [text])[0] <= len(text.encode())
    if unit != " ":  # on which tiktoken's own expression overflows the stack
        assert differences("cl100k_base", [text[:50_000]]) == []


def test_a_line_that_is_no_string_is_told_with_its_number():
    status, out, err = tokens_count(text='"a"\n"b b"\n{"c": 1}\n"d"\n')
    assert status == 1 and out == "1\n2\n" and "line 3" in err


@pytest.mark.parametrize("line", ["x", '"a', '"\\x"', '"a" "b"', "", "null"])
def test_other_lines_are_no_strings(line):
    assert tokens_count(text=f"{line}\n")[0] == 1


def test_lone_surrogates_count_as_replacement_characters():
    status, out, _ = tokens_count(text='"a\\ud83d b"\n"a\\ufffd b"\n')
    assert status == 0 and len(set(out.split())) == 1


def test_an_unknown_encoding_is_refused_with_the_known_ones():
    status, out, err = tokens_count("--encoding", "p50k_base", text='"a"\n')
    assert (status, out) == (1, "") and "cl100k_base" in err


REQUEST = {"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello!"}]}


@pytest.fixture
def request_file(tmp_path):
    path = tmp_path / "body.json"
    path.write_text(json.dumps(REQUEST))
    return path


def test_a_request_is_counted_by_the_published_rule(request_file):
    status, out, _ = tokens_count("--request", request_file, "--json")
    report = json.loads(out)
    by_rule = 3 + sum(
        3 + len(encoding("o200k_base").encode_ordinary(message["role"])) + len(encoding("o200k_base").encode_ordinary(message["content"]))
        for message in REQUEST["messages"])
    assert status == 0 and report["method"] == "o200k_base" and report["total"] == {"tokens": by_rule, "margin": 0}
    assert report["context_window"] == 128_000 and report["remaining"] == 128_000 - by_rule - 100


def test_a_request_is_counted_as_a_table_for_people(request_file):
    status, out, _ = tokens_count("--model", "gpt-4", "--request", request_file)
    assert status == 0 and re.search(r"^total +\d+ +0$", out, re.M) and out.startswith("gpt-4, cl100k_base\n")
    assert re.search(r"^1 message +\d+ +0$", out, re.M)


def test_the_commands_of_the_document_work(tmp_path):
    text = (ROOT / "docs/tokens.md").read_text()
    (tmp_path / "body.json").write_text(json.dumps(REQUEST))
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines() if "turnpike tokens" in line]
    assert commands
    for command in commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.replace("turnpike tokens", f"{binary()} tokens")], cwd=tmp_path, env=environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout, (command, done.stderr)
