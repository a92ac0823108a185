"""What a chat model that samples another is made of, and the message that it answers with."""

from __future__ import annotations

import warnings
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_thinktwice.checking import check_names
from langchain_thinktwice.messages import METADATA, annotated, message_in
from thinktwice import FieldVote, RunError, UsageError
from thinktwice.errors import ThinktwiceWarning, TypeOf
from thinktwice.strategy import check_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails

    from langchain_thinktwice.settings import WithResult
    from thinktwice import Result

Counted: TypeAlias = Literal["total", "selected"]
"""What the usage of the message counts: all calls, or the sample that was chosen."""


_NO_MODEL = (
    "give a chat model itself. What is bound to one, bind to the StrategyChatModel; any other "
    "Runnable can be sampled by with_strategy(runnable, strategy)"
)
_NO_FIELDS = (
    "messages have no fields. Vote on those of what is parsed of them: "
    "with_strategy(model.with_structured_output(Schema), FieldVote(...))"
)


def message_of(output: WithResult[AIMessage], counted: Counted) -> AIMessage:
    """The answer of a wrapper, as a model gives one.

    Args:
        output: What the wrapper returns.
        counted: What its usage counts.

    Raises:
        RunError: There were answers, and the strategy would have none of them.
    """
    message, result = output["value"], output["result"]
    if message is None:
        message = _abstained(result)
    if counted == "selected":
        return message
    return message.model_copy(update={"usage_metadata": _total(result)})


def _abstained(result: Result[Any]) -> AIMessage:
    """The first answer as it came, where none counts.

    Raises:
        RunError: There were answers, and the strategy would have none of them.
    """
    drawn = [each for each in result.samples if isinstance(each.value, AIMessage)]
    if not drawn or any(sample.answer is not None for sample in drawn):
        error = RunError(f"none of {len(result.samples)} answers was accepted")
        error.result = result
        raise error
    message = cast("AIMessage", annotated(drawn[0].value, result))
    summary = {**message.response_metadata[METADATA], "abstained": True}
    metadata = {**message.response_metadata, METADATA: summary}
    return message.model_copy(update={"response_metadata": metadata})


def _total(result: Result[Any]) -> UsageMetadata | None:
    """Tokens of all calls of a run, as a message reports them; None where none are known.

    Details that no ledger knows, such as tokens of audio, are those of the samples.
    """
    usage = result.ledger.total.usage
    if usage.total_tokens is None:
        return None
    told = reduce(add_usage, _told(result), None)
    if told is not None and told["total_tokens"] > usage.total_tokens:
        told = None  # choices of one request: each tells of all of it
    read = {"cache_read": usage.cache_read_tokens, "cache_creation": usage.cache_write_tokens}
    total = UsageMetadata(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        total_tokens=usage.total_tokens,
    )
    if inputs := _details(told, "input_token_details", read):
        total["input_token_details"] = cast("InputTokenDetails", inputs)
    written = {"reasoning": usage.reasoning_tokens}
    if outputs := _details(told, "output_token_details", written):
        total["output_token_details"] = cast("OutputTokenDetails", outputs)
    return total


def _details(
    told: Mapping[str, Any] | None, kind: str, known: Mapping[str, int | None]
) -> dict[str, Any]:
    counted = {name: count for name, count in known.items() if count is not None}
    return {**((told or {}).get(kind) or {}), **counted}


def _told(result: Result[Any]) -> Iterator[UsageMetadata]:
    """What the samples say of themselves, those from a cache left out."""
    for sample in result.samples:
        message = message_in(sample.value)
        told = None if message is None else message.usage_metadata
        if told is not None and cast("dict[str, Any]", told).get("total_cost") != 0:
            yield told


def check_chat(fields: Mapping[str, Any], *, known: set[str]) -> None:
    """Refuse what makes no sense for a chat model; its wrapper refuses the rest.

    Raises:
        UsageError: As above.
    """
    check_names(fields, known - {"bound"}, beside={"bound"})
    check_flags(trace_samples=fields["trace_samples"])
    model: object
    model, strategy, usage = fields["bound"], fields["strategy"], fields["usage"]
    if not isinstance(model, BaseChatModel):
        raise UsageError("model", TypeOf(model), _NO_MODEL)
    if isinstance(strategy, FieldVote):
        raise UsageError("strategy", strategy, _NO_FIELDS)
    if usage not in {None, "total", "selected"}:
        raise UsageError("usage", usage, "give 'total' or 'selected'")
    if isinstance(choices := getattr(model, "n", None), int) and choices > 1:
        message = f"each request of the model pays for n={choices} choices, and all but the first "
        warnings.warn(message + "are lost: set n=1 on it", ThinktwiceWarning, stacklevel=3)
