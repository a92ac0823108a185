"""The keys that a `key=` parameter names."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import pydantic
import pytest

from thinktwice.answers import default_key, key_function, text_in
from thinktwice.errors import UsageError
from thinktwice.sample import Completion


class Invoice(pydantic.BaseModel):
    lines: list[dict[str, float]]


@dataclass
class Pair:
    a: int
    b: str


AI = {"type": "ai", "content": [{"type": "text", "text": "it is 4"}]}


def test_none_is_the_default():
    """No name, no wrapping."""
    assert key_function(None) is default_key


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("text", Completion(value={"x": 1}, text="The CAT."), "the cat"),
        ("text", SimpleNamespace(content="Hi."), "hi"),
        ("text", SimpleNamespace(text=lambda: "Hi."), "hi"),
        ("number", "it is 4", 4),
        ("number", 4.0, 4),
        ("number", Decimal("4.50"), Decimal("4.5")),
        ("number", Completion(value=4.0), 4),
        ("number", Completion(value="is 4"), 4),
        ("number", {"messages": [AI]}, 4),
        ("number", {"raw": 1, "parsed": 4.0, "parsing_error": None}, 4),
        ("number", {"raw": 1, "parsed": None, "parsing_error": ValueError()}, None),
        ("number", None, None),
        ("choice", "(b)", "B"),
        ("choice", AI, None),
        ("json", '{"b": 1, "a": 2}', '{"a":2,"b":1}'),
        ("json:a", '{"a": "The CAT."}', "the cat"),
        ("json:a", '{"a": 1.0}', 1),
        ("json:a", '{"a": null}', None),
        ("json:a", '{"b": 1}', None),
        ("json:a", "no JSON", None),
        ("json:a.0.b", {"a": [{"b": True}]}, ("bool", True)),
        ("json:a.-1", {"a": [1, 2]}, 2),
        ("json:a.5", {"a": [1, 2]}, None),
        ("json:a", 'first\n```json\n{"a": 1}\n```\nthen\n```\n{"a": 2}\n```', 2),
        ("json:a", 'first\n```json\n{"a": 1}\n```\nthen\n```\nno JSON\n```', 1),
        ("json:lines.0.price", Invoice(lines=[{"price": 2.0}]), 2),
        ("json:b", Pair(1, "X"), "x"),
        ("json:a", Completion(value={"a": 1}), 1),
        ("json:a", {"raw": 0, "parsed": {"a": 1}, "parsing_error": None}, 1),
        ("json:a", {"type": "ai", "content": '{"a": 1}'}, 1),
        ("json:content", {"content": 5}, 5),
        ("json:p", '{"p": 0.1}', Decimal("0.1")),
    ],
)
def test_named_keys(name: str, value: object, key: object):
    """Each name, on what it reads."""
    assert key_function(name)(value) == key


@pytest.mark.parametrize("name", ["nope", "json.a", ""])
def test_an_unknown_name_lists_the_known(name: str):
    """The message is the documentation."""
    with pytest.raises(UsageError, match=r'"choice", "json", "math", "number", "text", "json:path'):
        key_function(name)


@pytest.mark.parametrize("name", ["text", "number", "choice"])
def test_a_value_without_text_is_refused(name: str):
    """A vote in which all abstain would hide the mistake."""
    with pytest.raises(UsageError, match="Pair has none: pass 'json:field'"):
        key_function(name)(Pair(1, "x"))


def test_a_callable_is_used_as_it_is():
    """Its answer is not folded, and None abstains."""
    assert key_function(str.strip)(" A. ") == "A."
    assert key_function(lambda _: None)("x") is None


def test_an_exception_of_a_callable_becomes_a_usage_error():
    """It keeps its cause, and shows nothing of the value."""
    with pytest.raises(UsageError, match="KeyError, given a dict") as caught:
        key_function(lambda value: value["secret"])({"other": "hidden"})
    assert isinstance(caught.value.__cause__, KeyError)
    assert "hidden" not in str(caught.value)


def test_an_unhashable_answer_becomes_a_usage_error():
    """Votes are counted by hash."""
    with pytest.raises(UsageError, match="returned a list"):
        key_function(lambda _: [1])("x")


def test_a_usage_error_of_a_callable_stays():
    """A key may refuse in its own words."""

    def refuse(_: object) -> str:
        raise UsageError("key", None, "mine")

    with pytest.raises(UsageError, match="mine"):
        key_function(refuse)("x")


def test_what_is_neither_name_nor_callable_is_refused():
    """As early as at construction."""
    with pytest.raises(UsageError, match="pass a callable"):
        key_function(3)  # type: ignore[arg-type]


def test_an_adapter_registers_the_text_of_its_types():
    """So that the named keys read them."""

    class Response:
        response = "it is 7"

    text_in.register(Response, lambda response: response.response)
    assert key_function("number")(Response()) == 7
