"""Two models with small contexts, and what messages cost by tiktoken's count."""
import json

from harness.vocabulary import encoding

WINDOWS = {"gpt-4o": ("o200k_base", 3_000), "gpt-4": ("cl100k_base", 1_500)}
MAX_OUTPUT = 700  # of both


def write_catalogue(directory, windows=None):
    """The path of a catalogue with these models: names, and (encoding, context window) each."""
    models = {name: {"encoding": encoding, "context_window": window, "max_output": MAX_OUTPUT} for name, (encoding, window) in (windows or WINDOWS).items()}
    path = directory / "models.json"
    path.write_text(json.dumps({"version": 1, "groups": [{"source": "this test", "date": "2026-01-01", "models": models}]}))
    return str(path)


def tokens(name, messages):
    """By OpenAI's published rule in the encoding `name`; of parts and tool calls only the text, which is less than they cost."""
    count = lambda text: len(encoding(name).encode_ordinary(text))
    total = 3
    for message in messages:
        content = message.get("content") or ""
        texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        total += 3 + count(message["role"]) + sum(map(count, texts))
        total += 1 + count(message["name"]) if "name" in message else 0
        total += sum(count(call["function"]["name"]) + count(call["function"]["arguments"]) for call in message.get("tool_calls") or [])
    return total
