"""What fails costs one vote and no more, until all fail."""

from __future__ import annotations

import json

import pytest
from openai import (
    APIConnectionError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)

from thinktwice import AllSamplesFailed, Budget, UsageError
from thinktwice.errors import RunError

pytestmark = pytest.mark.filterwarnings("ignore::thinktwice.errors.ThinktwiceWarning")

FAULTS = {
    "429": RateLimitError,
    "500": InternalServerError,
    "reset": APIConnectionError,
    "cut": APIConnectionError,
    "garbage": json.JSONDecodeError,
    "no choices": IndexError,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault_among_many(served, chat, drawing, call, fault):
    """It is one failed sample, with the client's own exception."""
    with served(schedule={2: fault}, retry_after=None) as server:
        result = (await call(drawing(chat(server), 4), "2 + 2"))["result"]
        assert len(server.log) == 4
    assert result.value.text == "4"
    assert result.agreement == 1.0
    [failed] = [sample for sample in result.samples if sample.error is not None]
    assert isinstance(failed.error, FAULTS[fault])
    assert result.ledger.total.calls == 4


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_throughout(served, chat, drawing, call, fault):
    """The client's own exception arrives, with what was paid for attached."""
    with served(schedule={1: fault}, sticky=True, retry_after=None) as server:
        with pytest.raises(FAULTS[fault]) as raised:
            await call(drawing(chat(server), 2), "2 + 2")
        assert len(server.log) == 2
    assert raised.value.thinktwice_result.ledger.total.calls == 2


@pytest.mark.parametrize(
    ("fault", "billed"),
    [("429", False), ("500", False), ("reset", True), ("cut", True), ("garbage", True)],
)
async def test_what_a_failed_call_takes_of_a_budget(  # noqa: PLR0917 - fixtures
    served, chat, drawing, call, fault, billed
):
    """A refusal nothing; a reply that was lost or that nobody can read, its worst case."""
    with served(schedule={2: fault}, retry_after=None) as server:
        model = chat(server, max_tokens=50)
        capped = drawing(model, 2, budget=Budget(tokens=1000), max_concurrency=1)
        result = (await call(capped, "2 + 2"))["result"]
    failed = next(entry for entry in result.ledger.entries if entry.status == "error")
    assert (failed.usage.source == "estimated") == billed
    assert ((failed.usage.total_tokens or 0) >= 50) == billed


async def test_mixed_faults(served, chat, drawing, call):
    """Types and statuses, and no text of the provider's."""
    with (
        served(schedule={1: "500", 2: "429"}, retry_after=None) as server,
        pytest.raises(AllSamplesFailed) as raised,
    ):
        await call(drawing(chat(server), 2), "2 + 2")
    assert "RateLimitError(429)" in str(raised.value)
    assert "Rate limit reached" not in str(raised.value)


async def test_a_model_that_does_not_exist(served, chat, drawing, call):
    """The refusal of the provider arrives, and nothing was billed."""
    with served() as server, pytest.raises(NotFoundError) as raised:
        await call(drawing(chat(server, model="arithmetic-xl"), 2), "2 + 2")
    total = raised.value.thinktwice_result.ledger.total
    assert (total.calls, total.usage.total_tokens or 0) == (2, 0)


async def test_a_setting_that_the_server_refuses(served, chat, drawing, call):
    """Likewise."""
    with served() as server:
        with pytest.raises(BadRequestError):
            await call(drawing(chat(server).bind(n=999), 2), "2 + 2")
        assert [record.status for record in server.log] == [400, 400]


async def test_no_server(served, chat, drawing, call):
    """What was never sent is not billed."""
    with served() as server:
        model = chat(server, max_tokens=50)
    with pytest.raises(APIConnectionError) as raised:
        await call(drawing(model, 2, budget=Budget(tokens=1000)), "2 + 2")
    assert not raised.value.thinktwice_result.ledger.total.usage.total_tokens


async def test_a_seeded_storm(served, chat, drawing, call):
    """Half of the requests fail, in six ways: the answer is that of those which did not."""
    rates = dict.fromkeys(("429", "500", "reset", "cut", "garbage", "no choices"), 1 / 12)
    with served(rates=rates, seed=1, retry_after=None) as server:
        try:
            result = (await call(drawing(chat(server), 24), "2 + 2"))["result"]
        except (RunError, UsageError) as error:  # pragma: no cover
            pytest.fail(f"{error!r}")
        failing = sum(record.fault is not None for record in server.log)
        assert len(server.log) == 24
    assert sum(sample.error is not None for sample in result.samples) == failing > 6
    assert result.value.text == "4"
    assert result.ledger.total.calls == 24
