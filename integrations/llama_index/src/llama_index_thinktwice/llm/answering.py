"""The response that an LLM over samples answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from llama_index_thinktwice.responses import METADATA, annotated
from thinktwice import RunError

if TYPE_CHECKING:
    from llama_index_thinktwice.llm.calls import LLMResponse
    from thinktwice import Result


def response_of(result: Result[Any], *, shadowed: bool = False) -> LLMResponse:
    """The answer of a run, as an LLM gives one.

    The summary and the tokens of all calls, those of judges included, are in `additional_kwargs`;
    `raw` is what the provider sent for the sample that was chosen.

    Args:
        result: Of the run.
        shadowed: The strategy runs behind: callers get what the LLM itself returned.

    Raises:
        RunError: There were answers, and the strategy would have none of them.
    """
    chosen = result.value if result.value is not None else _first(result)
    if shadowed:
        return cast("LLMResponse", chosen)
    response = _apart(cast("LLMResponse", annotated(chosen, result)))
    extra: dict[str, Any] = cast("Any", response).additional_kwargs
    if result.value is None:
        extra[METADATA]["abstained"] = True
    usage = result.ledger.total.usage
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if None not in counts.values():
        extra.update(counts)
    return response


def text_of(response: LLMResponse) -> str:
    """What a response says; "" of mere tool calls."""
    said = response.message.content if isinstance(response, ChatResponse) else response.text
    return said or ""


def _first(result: Result[Any]) -> LLMResponse:
    """The first answer as it came, where none counts.

    Raises:
        RunError: There were answers, and the strategy would have none of them.
    """
    kinds = ChatResponse | CompletionResponse
    drawn = [each for each in result.samples if isinstance(each.value, kinds)]
    if not drawn or any(sample.answer is not None for sample in drawn):
        error = RunError(f"none of {len(result.samples)} answers was accepted")
        error.result = result
        raise error
    return cast("LLMResponse", drawn[0].value)


def _apart(response: LLMResponse) -> LLMResponse:
    """With a message of its own: LlamaIndex takes surplus tool calls out of what it gets."""
    if not isinstance(response, ChatResponse):
        return response
    message = response.message
    own = {"blocks": [*message.blocks], "additional_kwargs": {**message.additional_kwargs}}
    return response.model_copy(update={"message": message.model_copy(update=own)})
