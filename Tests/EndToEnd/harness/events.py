"""Server-sent events, read as a browser reads them (WHATWG HTML, section 9.2.6)."""
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """An event that was dispatched: its name ("message" if none was given) and its data."""

    name: str
    data: str

    def json(self):
        """The data as a JSON value."""
        return json.loads(self.data)


def events_of(body):
    """The events in `body`. What is not ended by an empty line is no event."""
    events, name, data = [], "", []
    for line in body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            events.append(Event(name or "message", "\n".join(data)))
        if not line:
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return events


def chunks_of(body):
    """The chat.completion.chunk objects in `body`, without [DONE] and errors."""
    return [event.json() for event in events_of(body) if event.name == "message" and event.data != "[DONE]"]


def text_of(body):
    """The text that the chunks in `body` give for the first choice."""
    choices = (choice for chunk in chunks_of(body) for choice in chunk["choices"])
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)


def is_done(body):
    """Whether the stream says that it is complete."""
    return any(event.data == "[DONE]" for event in events_of(body))
