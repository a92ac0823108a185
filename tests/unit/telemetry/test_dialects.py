"""Under which names of vendors the cost of a call is written."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import Price, UsageError, Vote, solve, telemetry
from thinktwice.stop import AtMost
from thinktwice.telemetry import dialects
from thinktwice.telemetry.attributes import GEN_AI_USAGE, LANGFUSE_COST
from thinktwice.testing import ScriptedSampler, captured_spans, run_virtual

if TYPE_CHECKING:
    from decimal import Decimal

PRICES = {"fake-model": Price("1", "2")}
COST = (10 * 1 + 5 * 2) / 1_000_000
DEFAULT = {"gen_ai.usage.cost", "mlflow.llm.cost", "operation.cost"}
DRAFT = {f"gen_ai.usage.cost.{part}" for part in ("amount", "currency", "source")}
COUNTS = {f"llm.token_count.{part}" for part in ("prompt", "completion", "total")}


def written(prices=PRICES) -> dict[str, object]:
    """Attributes of vendors on the leaf of a run, and none elsewhere."""
    with captured_spans() as spans:
        run = solve(
            "q", sampler=ScriptedSampler(["a"]), strategy=Vote(1, stop=AtMost(1)), prices=prices
        )
        run_virtual(run)
    known = {"gen_ai.usage.", "llm.", "mlflow", "operation", "langfuse"}
    found = [
        {
            name: value
            for name, value in span.attributes.items()
            if name.startswith(tuple(known)) and name not in GEN_AI_USAGE.values()
        }
        for span in spans
    ]
    assert len([each for each in found if each]) <= 1
    return next((each for each in found if each), {})


@contextmanager
def said(names):
    """Dialects of the application."""
    dialects.say_dialects(dialects.named_dialects(names))
    try:
        yield
    finally:
        dialects.say_dialects(None)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (None, DEFAULT),
        ("default", DEFAULT),
        ("", set()),
        (" Default, langfuse,", DEFAULT | {"langfuse.observation.cost_details"}),
        ("openinference", {"llm.cost.total"} | COUNTS),
        ("draft,draft", DRAFT),
    ],
)
def test_the_environment_chooses(words, names, monkeypatch: pytest.MonkeyPatch):
    """Words between commas; nothing else is written."""
    if words is not None:
        monkeypatch.setenv("THINKTWICE_COST_DIALECTS", words)
    assert written().keys() == names


def test_all_say_the_same_cost():
    """As numbers, or in the JSON that a vendor reads."""
    with said(["default", "langfuse", "openinference", "draft"]):
        found = written()
    assert found["gen_ai.usage.cost"] == found["operation.cost"] == COST
    assert json.loads(str(found["mlflow.llm.cost"])) == {"total_cost": COST}
    assert json.loads(str(found["langfuse.observation.cost_details"])) == {"total": COST}
    assert found["llm.cost.total"] == found["gen_ai.usage.cost.amount"] == COST
    assert found["gen_ai.usage.cost.currency"] == "USD"
    assert found["gen_ai.usage.cost.source"] == "local"
    assert found["llm.token_count.prompt"] == 10
    assert found["llm.token_count.total"] == 15


def test_no_price_no_cost(silent_remarks):
    """Never one of nothing; the counts stand."""
    with said(["default", "langfuse", "openinference", "draft"]):
        assert written({}).keys() == COUNTS


def test_the_application_goes_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    """Until it says None."""
    monkeypatch.setenv("THINKTWICE_COST_DIALECTS", "draft")
    with said([]):
        assert not written()
    assert written().keys() == DRAFT


def test_a_word_of_the_environment_is_checked_before_money_is_spent(
    monkeypatch: pytest.MonkeyPatch,
):
    """With what there is."""
    monkeypatch.setenv("THINKTWICE_COST_DIALECTS", "default,langsmith")
    sampler = ScriptedSampler(["a"])
    with captured_spans(), pytest.raises(UsageError, match="'langsmith': give some of default, la"):
        run_virtual(solve("q", sampler=sampler, strategy=Vote(1)))
    assert sampler.calls == 0


def test_a_word_of_the_application_is_checked():
    """And changes nothing."""
    with pytest.raises(UsageError, match=r"^dialects='mlflow2'"):
        telemetry.configure(dialects=["mlflow2"])
    assert written().keys() == DEFAULT


def test_cache_writes_have_one_name():
    """Whatever the conventions call them next."""
    ends = [name for table in (telemetry.attributes.USAGE, GEN_AI_USAGE) for name in table.values()]
    assert len([name for name in ends if name.endswith(telemetry.attributes.CACHE_WRITE)]) == 2


@given(
    price=st.decimals("0.0001", "999", places=4),
    tokens=st.integers(0, 10**9),
    share=st.decimals("0.01", "1", places=2),
)
def test_a_cost_is_written_with_its_digits(price: Decimal, tokens: int, share: Decimal):
    """As a number and in JSON: both read back as the float that is nearest to the money."""
    cost = price * tokens * share / 1_000_000
    every = dialects.named_dialects(["default", "langfuse", "openinference", "draft"])
    found: dict[str, object] = {}
    for each in every:
        found |= each({"input_tokens": tokens}, float(cost))
    in_json = [found.pop(name) for name in ("mlflow.llm.cost", LANGFUSE_COST)]
    read = [value for each in in_json for value in json.loads(str(each)).values()]
    numbers = [value for value in found.values() if isinstance(value, float)]
    assert len(read) == 2
    assert len(numbers) == 4
    assert {*read, *numbers} == {float(cost)}
