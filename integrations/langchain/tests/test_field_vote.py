"""A vote on the fields of structured output."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_thinktwice import with_strategy
from pydantic import BaseModel, Field

from thinktwice import AtMost, UsageError
from thinktwice.strategies.field_vote import FieldVote

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")


class Invoice(BaseModel):
    """An invoice."""

    total: float
    currency: str
    due: str | None = Field(default=None, alias="dueDate")


SCHEMA = {
    "title": "Invoice",
    "description": "An invoice.",
    "type": "object",
    "properties": {"total": {"type": "number"}, "currency": {"type": "string"}},
    "required": ["total", "currency"],
}
READINGS = [
    {"total": 12.5, "currency": "EUR", "dueDate": "2025-01-02"},
    {"total": 12.5, "currency": "USD", "dueDate": "2025-01-01"},
    {"total": 15, "currency": "EUR", "dueDate": "2025-01-01"},
]
"""No reading has all three right."""


def reply(reading, name="Invoice") -> AIMessage:
    call = {"name": name, "args": reading, "id": "1"}
    return AIMessage("", tool_calls=[call], response_metadata={"finish_reason": "stop"})


@pytest.fixture
def model(scripted):
    """Reads an invoice, now so and now so."""
    return scripted(*map(reply, READINGS))


def field_vote(bound, **more):
    return with_strategy(bound, FieldVote(3, stop=AtMost(3)), **more)


async def test_models(model, call):
    """Are put together by their class; aliases are no matter."""
    chain = field_vote(model.with_structured_output(Invoice))
    read = await call(chain, "Read it.")
    assert read == Invoice(total=12.5, currency="EUR", dueDate="2025-01-01")


async def test_dicts(scripted, call):
    """Of a schema."""
    without = [{k: v for k, v in each.items() if k != "dueDate"} for each in READINGS]
    chain = field_vote(scripted(*map(reply, without)).with_structured_output(SCHEMA))
    assert await call(chain, "Read it.") == {"total": 12.5, "currency": "EUR"}


async def test_raw_beside_parsed(model, call):
    """The raw message is that of the closest reading, with the summary of the run."""
    chain = field_vote(model.with_structured_output(Invoice, include_raw=True))
    read = await call(chain, "Read it.")
    assert read.keys() == {"raw", "parsed", "parsing_error"}
    assert read["parsed"] == Invoice(total=12.5, currency="EUR", dueDate="2025-01-01")
    assert read["raw"].tool_calls[0]["args"] in READINGS
    assert read["raw"].response_metadata["thinktwice"]["launched"] == 3


async def test_what_does_not_parse_abstains(scripted, call):
    """With the raw message as an entry that has an error; without it the sample fails."""
    bad = {"total": "much", "currency": "EUR"}
    for raw in (True, False):
        model = scripted(reply(bad), reply(READINGS[0]), reply(READINGS[0]))
        chain = with_strategy(
            model.with_structured_output(Invoice, include_raw=raw),
            FieldVote(3, stop=AtMost(3)),
            include_result=True,
        )
        result = (await call(chain, "Read it."))["result"]
        read = result.value["parsed"] if raw else result.value
        assert read == Invoice(**READINGS[0])
        assert result.agreement == 1.0
        assert [sample.error is None for sample in result.samples].count(False) == (not raw)


async def test_the_result(model, call):
    """Says what was composed, and how far each field was agreed on."""
    chain = field_vote(model.with_structured_output(Invoice), include_result=True)
    result = (await call(chain, "Read it."))["result"]
    assert result.composed
    assert result.shares == pytest.approx(dict.fromkeys(("total", "currency", "due"), 2 / 3))


async def test_parsed_text(scripted, call):
    """A parser will do, and a chain that ends in a text of JSON."""
    texts = [json.dumps(each) for each in READINGS]
    chain = field_vote(scripted(*texts) | JsonOutputParser())
    right = {"total": 12.5, "currency": "EUR", "dueDate": "2025-01-01"}
    assert await call(chain, "Read it.") == right
    chain = field_vote(scripted(*texts) | (lambda message: message.text))
    assert json.loads(await call(chain, "Read it.")) == right


async def test_messages_have_no_fields(scripted, call):
    """The error says what to add."""
    with pytest.raises(UsageError, match="structured output or a parser"):
        await call(field_vote(scripted('{"a": 1}')), "Read it.")


async def test_a_smaller_n_of_the_request(model, call):
    """As with every strategy that has one."""
    chain = with_strategy(model.with_structured_output(Invoice), FieldVote(3, stop=AtMost(3)))
    config = {"configurable": {"thinktwice_n": 1}}
    assert (await call(chain, "Read it.", config)).total == 12.5
    assert model.calls == 1
