"""What the official SDK does with a session, on both databases: tools, images, regenerated answers, clients that keep their own history, titles."""
import pytest
from openai import OpenAI

from harness import chat
from harness.answers import json_answer
from harness.site import fresh

DATABASES = "both"


@pytest.fixture(scope="module")
def site(open_site):
    # An image counts some hundred tokens.
    return open_site(plugins={"history": {"default_context_window": 100_000, "max_history_messages": 200}})


@pytest.fixture
def client(site):
    with OpenAI(base_url=f"http://127.0.0.1:{site.port}/v1", api_key=site.key(), max_retries=0) as client:
        yield client


def create(client, model, messages, session, **fields):
    return client.chat.completions.create(model=model, messages=messages, extra_headers={"X-Session-ID": session}, **fields)


def test_a_tool_calling_loop(site, client):
    call = lambda number: {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": f'{{"n":{number}}}'}}
    model = site.script(
        fresh("model"), json_answer(chat.completion(None, [call(1), call(2)], "tool_calls")),
        json_answer(chat.completion(None, [call(3)], "tool_calls")), json_answer(chat.completion("Sunny.")))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    session, messages = fresh("session"), [{"role": "user", "content": "weather?"}]
    whole = list(messages)
    while True:
        message = create(client, model, messages, session, tools=tools).choices[0].message
        whole.append(message.to_dict())
        if not message.tool_calls:
            break
        messages = [{"role": "tool", "tool_call_id": made.id, "content": "12"} for made in message.tool_calls]
        whole += messages
    assert [len(request.json()["messages"]) for request in site.sent(model)] == [1, 4, 6]
    create(client, model, [{"role": "user", "content": "thanks"}], session, tools=tools)
    sent = site.sent(model)[-1].json()["messages"]
    assert [{key: value for key, value in message.items() if value is not None} for message in sent[:-1]] == [
        {key: value for key, value in message.items() if value is not None} for message in whole]


def test_an_image_conversation(site, client):
    image = "data:image/png;base64," + "iVBORw0KGgo+/AAA" * 8192
    question = {"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": image, "detail": "low"}}]}
    session, model = fresh("session"), site.script(fresh("model"), json_answer(chat.completion("A cat.")))
    create(client, model, [question], session)
    create(client, model, [{"role": "user", "content": "Which colour?"}], session)
    sent = site.sent(model)
    assert sent[1].json()["messages"][0] == question
    assert image.encode() in sent[1].body and site.stored(session)[0]["content"] == question["content"]


def test_a_regenerated_answer(site, client):
    session, model = fresh("session"), site.script(
        fresh("model"), json_answer(chat.completion("first")), json_answer(chat.completion("second")), json_answer(chat.completion("third")))
    view = [{"role": "user", "content": "hi"}]
    view.append(create(client, model, view, session).choices[0].message.to_dict())
    view.append({"role": "user", "content": "tell me"})
    create(client, model, view, session)
    again = create(client, model, view, session).choices[0].message.content
    assert again == "third"
    assert [message["content"] for message in site.stored(session)] == ["hi", "first", "tell me", "third"]


def test_a_client_that_resends_everything(site, client):
    session, model, view = fresh("session"), fresh("model"), [{"role": "system", "content": "Be brief."}]
    for number in range(6):
        view.append({"role": "user", "content": f"{number}"})
        view.append(create(client, model, view, session).choices[0].message.to_dict())
        assert [message["content"] for message in site.sent(model)[-1].json()["messages"]] == [message["content"] for message in view[:-1]]
    assert len(site.stored(session)) == 12


def test_a_title_task_leaves_the_session_alone(site, client):
    session, model = fresh("session"), fresh("model")
    create(client, model, [{"role": "user", "content": "hi"}], session)
    create(client, model, [{"role": "user", "content": "Write a title."}], session, extra_body={"history_mode": "off"})
    assert [message["content"] for message in site.sent(model)[-1].json()["messages"]] == ["Write a title."]
    assert len(site.stored(session)) == 2
