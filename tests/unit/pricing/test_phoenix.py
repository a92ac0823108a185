"""Prices for Phoenix, against a server that answers as it does."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from thinktwice import UsageError
from thinktwice.pricing.phoenix import write_prices
from thinktwice.pricing.rates import Quote, Rates


class Fake:
    """Keeps models, a page of two at a time.

    Attributes:
        models: By id.
        keys: Authorisations that were sent.
        reply: In place of an answer: a status and a body.
    """

    def __init__(self) -> None:
        self.models = {"1": built_in("gpt-5"), "2": built_in("o3"), "3": built_in("o4")}
        self.keys: list[str | None] = []
        self.reply: tuple[int, bytes] | None = None
        self.writes = 0

    def answer(self, query: str, variables: dict) -> dict:
        given = variables.get("input")
        if given is None:
            return {"generativeModels": self.page(int(variables["after"] or 0))}
        self.writes += 1
        number = given.get("id") or str(len(self.models) + 1)
        costs = {"tokenPrices": given["costs"], "kind": "CUSTOM", "id": number}
        self.models[number] = {**given, **costs}
        name = "createModel" if "createModel" in query else "updateModel"
        return {name: {"model": {"id": number}}}

    def page(self, start: int) -> dict:
        nodes = [{"node": each} for each in list(self.models.values())[start : start + 2]]
        more = start + 2 < len(self.models)
        return {"edges": nodes, "pageInfo": {"hasNextPage": more, "endCursor": str(start + 2)}}

    @property
    def custom(self) -> list[dict]:
        return [each for each in self.models.values() if each["kind"] == "CUSTOM"]


def built_in(name: str) -> dict:
    return {
        "id": name,
        "name": name,
        "provider": None,
        "namePattern": f"^{name}$",
        "kind": "BUILT_IN",
        "tokenPrices": [],
    }


@pytest.fixture
def fake():
    """A server, and its address."""
    state = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            read = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.keys.append(self.headers["authorization"])
            status, body = state.reply or (
                200,
                json.dumps({"data": state.answer(read["query"], read["variables"])}).encode(),
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def priced(name: str, *, provider: str | None = None, model: str | None = None, **changed: object):
    rates = {
        "input": Decimal("1.25"),
        "output": Decimal(10),
        "cache_read": Decimal("0.125"),
        "cache_write": Decimal("1.25"),
        "reasoning": Decimal(10),
        "request": Decimal(0),
        "stepped": False,
    }
    return Quote(name, model or name, provider, Rates(**{**rates, **changed}), "file", Decimal(0))


def done(written) -> list[str]:
    return [each.done for each in written]


def test_a_model_is_created_once(fake):
    """With all its rates; a second time nothing is written."""
    quotes = [priced("gpt-5"), priced("acme/m.1", provider="acme", model="m.1")]
    assert done(write_prices(fake.url, quotes)) == ["created", "created"]
    assert fake.models["1"]["kind"] == "BUILT_IN"
    made = fake.custom[1]
    assert (made["name"], made["provider"]) == ("acme/m.1", "acme")
    assert made["namePattern"] == r"^m\.1$"
    costs = {each["tokenType"]: each for each in made["costs"]}
    assert {name: each["costPerMillionTokens"] for name, each in costs.items()} == {
        "input": 1.25,
        "output": 10.0,
        "cache_read": 0.125,
        "cache_write": 1.25,
        "reasoning": 10.0,
    }
    completions = {name for name, each in costs.items() if each["kind"] == "COMPLETION"}
    assert completions == {"output", "reasoning"}
    assert done(write_prices(fake.url, quotes)) == ["unchanged", "unchanged"]
    assert fake.writes == 2


def test_a_new_price_takes_the_place_of_the_old(fake):
    """The model stays one."""
    write_prices(fake.url, [priced("m")])
    assert done(write_prices(fake.url, [priced("m", output=Decimal(8))])) == ["updated"]
    (made,) = fake.custom
    assert {e["costPerMillionTokens"] for e in made["costs"] if e["tokenType"] == "output"} == {8}


def test_a_model_that_somebody_has_named_otherwise_keeps_its_name(fake):
    """Phoenix takes no second one with the same pattern and provider."""
    write_prices(fake.url, [priced("m")])
    fake.custom[0]["name"] = "our house model"
    assert done(write_prices(fake.url, [priced("m")])) == ["unchanged"]
    assert done(write_prices(fake.url, [priced("m", input=Decimal(2))])) == ["updated"]
    assert [each["name"] for each in fake.custom] == ["our house model"]


def test_what_cannot_be_written_is_skipped(fake):
    """A model without a price, and all models of a provider."""
    unpriced = Quote("x", "x", None, None, "unpriced", Decimal(0))
    found = write_prices(fake.url, [unpriced, priced("local/*", provider="local", model="*")])
    assert done(found) == ["skipped", "skipped"]
    assert all(each.remark for each in found)
    assert fake.writes == 0


def test_what_phoenix_cannot_be_told_is_said(fake):
    """Steps and fees."""
    found = write_prices(fake.url, [priced("a", stepped=True), priced("b", request=Decimal(1))])
    assert "long inputs" in found[0].remark
    assert "fee" in found[1].remark


def test_the_key_is_sent(fake, monkeypatch):
    """From the environment; none without it."""
    write_prices(fake.url, [])
    monkeypatch.setenv("PHOENIX_API_KEY", "sesame")
    write_prices(fake.url, [])
    assert set(fake.keys) == {None, "Bearer sesame"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "set PHOENIX_API_KEY"),
        (500, b"", "answers 500"),
        (200, b"<html>", "as Phoenix does"),
        (200, b"[]", "as Phoenix does"),
        (200, b'{"errors": "no"}', "as Phoenix does"),
        (200, b'{"errors": [{"message": "read only"}]}', "it refuses: read only"),
    ],
)
def test_another_answer_is_told(fake, status, body, said):
    """In one line, with the address."""
    fake.reply = status, body
    with pytest.raises(UsageError, match=said) as error:
        write_prices(fake.url, [priced("m")])
    assert fake.url in str(error.value)


@pytest.mark.parametrize(
    "url", ["", "localhost:6006", "file:///etc/passwd", "http://", "http://[::1", "http://h/a b"]
)
def test_an_address_that_is_none(url):
    """Is refused before anything is opened."""
    with pytest.raises(UsageError, match="give its address"):
        write_prices(url, [])


def test_a_password_in_the_address_is_not_shown():
    """It would be looked up as a part of the host."""
    with pytest.raises(UsageError, match="PHOENIX_API_KEY is its key") as error:
        write_prices("http://u:sk-secret@127.0.0.1:9", [priced("m")])
    assert "sk-secret" not in str(error.value)


def test_nobody_is_there(fake):
    """It says so."""
    with pytest.raises(UsageError, match="is Phoenix running there"):
        write_prices("http://127.0.0.1:9", [])
