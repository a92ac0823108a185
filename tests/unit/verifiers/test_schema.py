"""Checking the form of an answer."""

from __future__ import annotations

import builtins
import json
import pickle
import socket
import time
from dataclasses import dataclass
from datetime import date

import pytest
from pydantic import BaseModel, TypeAdapter

from thinktwice import BestOfN, Completion, solve
from thinktwice.errors import UsageError
from thinktwice.protocols import Verifier
from thinktwice.sample import Sample
from thinktwice.testing import ScriptedSampler, run_virtual
from thinktwice.verifiers.schema import Schema

ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"price": {"type": "number", "minimum": 0}},
                "required": ["price"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
}
MANY = {str(key): 0 for key in range(1000)}
FITS = '{"items": [{"price": 3.5}]}'


class Item(BaseModel):
    price: float


class Order(BaseModel):
    items: list[Item]


@dataclass
class Message:
    """A chat message, as clients have it."""

    content: object
    role: str = "assistant"


def problems(schema: object, value: object) -> list[str]:
    return Schema(schema).problems(value)


class TestMaking:
    """What is refused when it is made, and what it is."""

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "objekt"},
            {"pattern": "("},
            {"properties": {"a": {"patternProperties": {"(": True}}}},
            {"$ref": "#/$defs/missing"},
            {"$ref": "https://example.com/schema.json"},
            {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
            {"$dynamicRef": "other.json#x"},
            3,
            "x",
            len,
        ],
        ids=str,
    )
    def test_what_is_no_schema_is_refused(self, schema: object):
        """By name; nothing is fetched to find out."""
        with pytest.raises(UsageError, match=r"^(schema|pattern)="):
            Schema(schema)

    def test_the_message_says_where_and_what_to_do(self):
        """For a schema, and for a reference."""
        with pytest.raises(UsageError, match=r"at \$\.properties\.a\.type, 'objekt' is not"):
            Schema({"properties": {"a": {"type": "objekt"}}})
        with pytest.raises(UsageError, match=r"'x\.json'.*nothing is fetched: put it in"):
            Schema({"$ref": "x.json"})

    def test_the_extra_is_named_where_it_is_missing(self, monkeypatch: pytest.MonkeyPatch):
        """When it is made, and for JSON Schema alone."""
        real = builtins.__import__

        def without(name: str, *more: object) -> object:
            if name.startswith("jsonschema"):
                raise ImportError(name)
            return real(name, *more)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(UsageError, match=r"pip install 'thinktwice\[schema\]'"):
            Schema(ORDER)
        assert Schema(Order).problems(FITS) == []

    def test_references_within_it_are_followed(self):
        """By pointer, by anchor, by the identity of a part, and to its draft."""
        part = {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}
        for schema in (
            part,
            {"$defs": {"n": {"$anchor": "num", "type": "integer"}}, "$ref": "#num"},
            {"$id": "http://example.com/a", "allOf": [{"$id": "b", **part}]},
            {"allOf": [part | {"$id": "urn:x"}, {"$ref": "urn:x"}]},
        ):
            assert problems(schema, "3") == []
            assert problems(schema, '"3"') != []
        assert problems({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "3") != []

    def test_a_schema_may_refer_to_itself_with_data_in_between(self):
        """As trees do; without, it has no end."""
        tree = Schema({"type": "array", "items": {"$ref": "#"}})
        assert tree.problems("[[], [[]]]") == []
        assert tree.problems("[[], [3]]") == ["[1][0]: 3 is not of type 'array' (type: 'array')"]
        assert tree.problems("[" * 900 + "]" * 900) == ["it is nested too deeply"]
        with pytest.raises(UsageError, match="refers to itself without end"):
            Schema({"allOf": [{"$ref": "#"}]})

    def test_nothing_is_fetched_when_it_checks(self, monkeypatch: pytest.MonkeyPatch):
        """No connection is opened, whatever the schema says."""
        opened: list[object] = []
        monkeypatch.setattr(socket.socket, "connect", lambda *given: opened.append(given))
        schema = Schema({"$schema": "https://json-schema.org/draft/2020-12/schema", **ORDER})
        assert schema.problems(FITS) == []
        assert opened == []

    def test_it_is_a_verifier_that_is_not_exact(self):
        """The form says nothing of what is in it, unless that is all that is asked for."""
        schema = Schema(ORDER)
        assert isinstance(schema, Verifier)
        assert (schema.name, schema.exact, schema.calls, schema.role) == (
            "schema",
            False,
            0,
            "tool",
        )
        assert Schema(ORDER, exact=True).exact

    @pytest.mark.parametrize("given", [ORDER, Order, list[int]], ids=["json", "model", "type"])
    def test_it_compares_and_pickles(self, given: object):
        """By what it was made of; afterwards it still checks."""
        schema = Schema(given, name="mine")
        again = pickle.loads(pickle.dumps(schema))  # noqa: S301 - our own
        assert again == schema
        assert again.problems("nothing")
        assert schema != Schema(given)

    def test_the_schema_cannot_change_behind_its_back(self):
        """It is a copy."""
        given = {"type": "integer"}
        schema = Schema(given)
        given["type"] = "string"
        assert schema.problems("3") == []
        assert schema == Schema({"type": "integer"})


@pytest.mark.parametrize("schema", [ORDER, Order], ids=["json", "pydantic"])
class TestReading:
    """What the data is in what a sampler returns."""

    @pytest.mark.parametrize(
        "value",
        [
            FITS,
            f" \n{FITS}\n",
            f"```json\n{FITS}\n```",
            f"Here it is:\n```\n{FITS}\n```\nAnything else?",
            f"```json\n[1]\n```\nor rather\n```json\n{FITS}\n```",
            f"```json\n{FITS}\n```\n```python\nprint(1)\n```",
            json.loads(FITS),
            Order(items=[Item(price=1)]),
            Message(FITS),
            Message([{"type": "text", "text": FITS}]),
            Completion(value=FITS),
            {"messages": [Message("no", role="user"), Message(FITS)]},
            {"raw": Message("x"), "parsed": Order(items=[]), "parsing_error": None},
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_fits(self, schema: object, value: object):
        """JSON, JSON in the last readable fence, data, and what wraps them."""
        assert problems(schema, value) == []

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "none of it",
            "```python\nprint(1)\n```",
            f"{FITS} {FITS}",
            f"The answer is {FITS}",
            '{"items": [{"price": NaN}]}',
            '{"items": [{"price": Infinity}]}',
            f'{{"items": [{{"price": {"9" * 5000}}}]}}',
            "[" * 100_000,
            '{"items": [{"price": 1}',
            "\x00\x1b[31m\u202e",
            None,
            3,
            [],
            Message(""),
            Message(None),
            {"raw": Message("x"), "parsed": None, "parsing_error": "no"},
        ],
        ids=lambda value: ascii(value)[:30],
    )
    def test_does_not_fit(self, schema: object, value: object):
        """With one line of why, without control characters."""
        found = problems(schema, value)
        assert len(found) == 1
        assert found[0].isprintable()
        assert len(found[0]) <= 300

    @pytest.mark.parametrize(
        "value",
        [
            {"role": "assistant", "content": FITS},
            {"messages": [{"role": "assistant", "content": FITS}]},
            {"raw": "x", "parsed": json.loads(FITS), "parsing_error": None},
            {"raw": None, "parsed": json.loads(FITS), "parsing_error": None},
        ],
        ids=str,
    )
    def test_a_wrapping_that_a_model_could_write_is_data(self, schema: object, value: object):
        """Else it would choose what is checked, and what is used would be something else."""
        assert "items" in problems(schema, value)[0]

    def test_a_data_field_called_messages_is_data(self, schema: object):
        """As long as no message stands in it."""
        fits = {**json.loads(FITS), "messages": ["hi"]}
        assert problems(schema, fits) == []


class TestSaying:
    """What the model is told."""

    def test_json_schema_names_place_and_rule(self):
        """The first five, and the deepest of alternatives."""
        value = {"items": [{"price": "free"}, {"price": -1, "tax": 2}]}
        assert problems(ORDER, value) == [
            "items[0].price: 'free' is not of type 'number' (type: 'number')",
            "items[1].price: -1 is less than the minimum of 0 (minimum: 0)",
            (
                "items[1]: Additional properties are not allowed ('tax' was unexpected) "
                "(additionalProperties: False)"
            ),
        ]
        assert problems(ORDER, {}) == [
            "at the top: 'items' is a required property (required: ['items'])"
        ]
        assert len(problems(ORDER, {"items": [{}] * 1000})) == 5
        either = {"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "integer"}}}]}
        assert problems(either, {"a": "b"}) == ["a: 'b' is not of type 'integer' (type: 'integer')"]

    def test_pydantic_names_place_and_rule(self):
        """In its own words."""
        assert problems(Order, {"items": [{"price": "free"}, {}]}) == [
            (
                "items[0].price: Input should be a valid number, unable to parse string as a "
                "number (got 'free')"
            ),
            "items[1].price: Field required (got {})",
        ]

    def test_a_text_that_is_no_json_is_shown_where_it_breaks(self):
        """With some of it on both sides."""
        (found,) = problems(ORDER, '{"items": [{"price": 3.5,}]}')
        assert found.startswith("it is not JSON: ")
        assert found.endswith("""at line 1, column 26, near 'ms": [{"price": 3.5,}]}'""")

    def test_what_is_quoted_is_cut_and_escaped(self):
        """A megabyte stays where it is, and so does what moves a terminal's cursor."""
        for value in ("x" * 10**6, "\x1b[2J\u202e\x00\n" * 1000, ["y"] * 10**4, MANY):
            for schema in (ORDER, Order):
                found = problems(schema, {"items": value})
                assert all(len(each) <= 300 and each.isprintable() for each in found)

    def test_what_has_many_parts_is_counted(self):
        """None of them says what is wrong with all."""
        assert problems(ORDER, {"items": MANY})[0].startswith("items: 1000 items is not of type")

    def test_names_that_the_model_chose_are_cut_and_escaped(self):
        """They stand in paths and messages."""
        schema = {"additionalProperties": {"type": "integer"}}
        for name in ("k" * 10**5, "\x1b\u202e"):
            (found,) = problems(schema, {name: "no"})
            assert len(found) <= 300
            assert found.isprintable()

    async def test_the_verdict_quotes_all_of_them(self):
        """In the feedback, and each as evidence."""
        found = await Schema(ORDER)(Sample(index=2, value='{"items": [{}, 1]}'), prompt="p")
        assert (found.outcome, found.score, found.verifier, found.sample) == (
            "fail",
            0.0,
            "schema",
            2,
        )
        assert len(found.evidence) == 2
        assert found.feedback is not None
        assert found.feedback.startswith("The answer does not have the form that was asked for.")
        assert all(f"\n- {each}" in found.feedback for each in found.evidence)
        passed = await Schema(ORDER)(Sample(index=2, value=FITS), prompt="p")
        assert (passed.outcome, passed.feedback, passed.sample) == ("pass", None, 2)


class TestTypes:
    """What pydantic can check."""

    def test_types_and_adapters(self):
        """Anything a `TypeAdapter` can be made of, or one."""
        for schema in (list[int], TypeAdapter(list[int])):
            assert problems(schema, "[1, 2]") == []
            (found,) = problems(schema, '["a"]')
            assert found.startswith("[0]: Input should be a valid integer")
            assert found.endswith("(got 'a')")

    def test_a_text_is_read_as_json_and_data_as_python(self):
        """A date is a text in one and an object in the other."""
        assert problems(dict[str, date], '{"on": "2024-02-30"}') != []
        assert problems(dict[str, date], '{"on": "2024-02-29"}') == []
        assert problems(dict[str, date], {"on": date(2024, 2, 29)}) == []

    def test_data_with_objects_in_it_is_json_to_a_json_schema(self):
        """As it would be sent."""
        schema = {"properties": {"on": {"type": "string"}, "set": {"type": "array"}}}
        assert problems(schema, {"on": date(2024, 2, 29), "set": {1}}) == []

    @pytest.mark.usefixtures("silent_remarks")
    def test_what_is_no_data_breaks_the_check(self):
        """It is no fault of the answer."""
        sampler = ScriptedSampler([object()])
        strategy = BestOfN(1, verifier=Schema(ORDER), key=str)
        result = run_virtual(solve("q", sampler=sampler, strategy=strategy))
        assert [each.outcome for each in result.verdicts] == ["error"]


class TestPatterns:
    """Patterns of a schema meet texts of a stranger."""

    EVIL = "^(a+)+$"
    TEXT = "a" * 50_000 + "b"

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"pattern": EVIL}, TEXT),
            ({"additionalProperties": {"pattern": EVIL}}, {"x": TEXT}),
            ({"patternProperties": {EVIL: False}, "additionalProperties": False}, {TEXT: 1}),
            ({"propertyNames": {"pattern": EVIL}}, {TEXT: 1}),
        ],
    )
    def test_take_linear_time(self, schema: object, value: object):
        """An exponential one would take longer than the universe has been there."""
        checked = Schema(schema)
        started = time.process_time()
        assert len(checked.problems(json.dumps(value))) == 1
        assert time.process_time() - started < 1

    def test_match_anywhere(self):
        """As JSON Schema has it, unless they are anchored."""
        assert problems({"pattern": "b+"}, '"abc"') == []
        assert problems({"pattern": "^b"}, '"abc"') == [
            "at the top: 'abc' does not match '^b' (pattern: '^b')"
        ]
        assert problems({"pattern": "^b"}, "3") == []  # says nothing of numbers

    def test_look_around_is_matched_too(self):
        """By the engine that can."""
        schema = {"pattern": r"^(?=.*\d)\w+$"}
        assert problems(schema, '"abc1"') == []
        assert len(problems(schema, '"abc"')) == 1

    def test_names_by_pattern(self):
        """Properties that no name and no pattern stand for are the additional ones."""
        schema = {
            "properties": {"id": {"type": "integer"}},
            "patternProperties": {"^x-": {"type": "string"}},
            "additionalProperties": {"type": "boolean"},
        }
        assert problems(schema, {"id": 1, "x-a": "b", "c": True}) == []
        assert [each.split(":")[0] for each in problems(schema, {"id": "", "x-a": 1, "c": 2})] == [
            "id",
            "x-a",
            "c",
        ]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"items": [{"price": each} for each in range(8_000)]}),
        "```" + " " * 10**6,
        "```json\n" * 20_000,
        "`" * 10**6,
        '{"a":' * 200_000,
        '"' + "\\u0000" * 150_000 + '"',
    ],
    ids=["valid", "fence of blanks", "fences", "ticks", "deep", "escapes"],
)
def test_what_is_long_is_checked_in_linear_time(text: str):
    """Up to a megabyte, whatever it is made of; only the first fits."""
    started = time.process_time()
    for schema in (ORDER, Order):
        assert (Schema(schema).problems(text) == []) is text.startswith('{"items"')
    assert time.process_time() - started < 5
