"""Chat completions as an upstream would send them, for tests that need a plausible one."""
from harness.answers import json_answer, sse_answer, sse_event

IDENTITY = {"id": "chatcmpl-scripted", "created": 1_700_000_000, "model": "scripted-1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def completion(content="Hello.", tool_calls=None, finish_reason="stop"):
    """A chat.completion object."""
    message = {"role": "assistant", "content": content, "refusal": None}
    if tool_calls:
        message["tool_calls"] = tool_calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return {**IDENTITY, "object": "chat.completion", "choices": [choice], "usage": USAGE}


def delta(change, finish_reason=None):
    """A chat.completion.chunk object with one choice."""
    choice = {"index": 0, "delta": change, "logprobs": None, "finish_reason": finish_reason}
    return {**IDENTITY, "object": "chat.completion.chunk", "choices": [choice]}


def text_events(words=("Hel", "lo", " 世界", "."), usage=False):
    """The events of a streamed text, [DONE] included."""
    chunks = [delta({"role": "assistant", "content": ""}), *(delta({"content": word}) for word in words)]
    return finished(chunks, "stop", usage)


def tool_call_events(name="get_weather", pieces=('{"city"', ': "Paris"}')):
    """The events of a streamed tool call, its arguments in pieces."""
    first = {"index": 0, "id": "call_scripted", "type": "function", "function": {"name": name, "arguments": ""}}
    chunks = [delta({"role": "assistant", "content": None, "tool_calls": [first]})]
    chunks += [delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    return finished(chunks, "tool_calls", usage=False)


def finished(chunks, finish_reason, usage):
    """`chunks` as events, followed by the finish reason, the usage if asked for, and [DONE]."""
    values = [*chunks, delta({}, finish_reason)]
    if usage:
        values.append({**delta({}), "choices": [], "usage": USAGE})
    return [sse_event(value) for value in (*values, "[DONE]")]


def models(*names):
    """The list of /v1/models."""
    entries = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "scripted"} for name in names]
    return {"object": "list", "data": entries}


def chat_answer(request):
    """Answers a chat request by what it asks for: JSON or a stream, text or the tool that it forces."""
    body = request.json()
    if not body.get("stream"):
        return json_answer(completion())
    if body.get("tool_choice"):
        return sse_answer(tool_call_events())
    return sse_answer(text_events(usage=body.get("stream_options", {}).get("include_usage", False)))
