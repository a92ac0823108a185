"""What an LLM call consumed, as LlamaIndex's LLMs hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from thinktwice import Usage
from thinktwice.sample import finish_meaning, tier_meaning

_INPUT: Final = ("prompt_tokens", "input_tokens", "prompt_token_count", "prompt_eval_count")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "candidates_token_count", "eval_count")
_REASONS: Final = ("finish_reason", "stop_reason", "done_reason")
_TOP: Final = ("usage", "usage_metadata")

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """A finished LLM call.

    Attributes:
        text: What it says.
        usage: Its tokens; None where the provider reports none.
        model: The model that answered, by the provider's name for it.
        finish_reason: Why it ended.
        response_id: The provider's name for it.
        logprobs: Natural logarithms, one for each token of it.
        top_logprobs: Of the most probable tokens at each position.
    """

    text: str | None = None
    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[float, ...], ...] | None = None


NO_REPLY: Final = Reply()
"""Of what is no response of an LLM."""


def read_reply(response: object) -> Reply:
    """Read the response of one LLM call, or the last one of its stream."""
    if isinstance(response, ChatResponse):
        text = response.message.content
    elif isinstance(response, CompletionResponse):
        text = response.text
    else:
        return NO_REPLY
    raw = _fields(response.raw)
    sampled, top = _logprobs(raw, response)
    model = raw.get("model") or raw.get("model_version")
    name = raw.get("id") or raw.get("response_id")
    return Reply(
        text=text,
        usage=_usage(raw, response),
        model=model if isinstance(model, str) else None,
        finish_reason=_finish_reason(raw, response),
        response_id=name if isinstance(name, str) else None,
        logprobs=sampled,
        top_logprobs=top,
    )


def read_usage(response: object) -> Usage | None:
    """Read the tokens alone, of a chunk of a stream, say."""
    if isinstance(response, ChatResponse | CompletionResponse):
        return _usage(_fields(response.raw), response)
    return None


def _fields(thing: object) -> Fields:
    """The entries of a mapping, or the attributes of an object of a provider's package."""
    if isinstance(thing, Mapping):
        return cast("Fields", thing)
    return {} if thing is None else getattr(thing, "__dict__", {})


def _beside(response: ChatResponse | CompletionResponse) -> Fields:
    return cast("Any", response).additional_kwargs


def _usage(raw: Fields, response: ChatResponse | CompletionResponse) -> Usage | None:
    places: list[object] = [*(raw.get(name) for name in _TOP), raw, _beside(response)]
    if isinstance(response, ChatResponse):
        places.append(response.message.additional_kwargs)
    for place in places:
        counts = _fields(place)
        if counts and (usage := _read(counts)) is not None:
            named = raw.get("service_tier") or counts.get("service_tier")
            return replace(usage, tier=tier_meaning(named))
    return None


def _read(counts: Fields) -> Usage | None:
    """Usage of one place where it may stand; OpenAI's, Anthropic's, Google's and Ollama's names."""
    read, written = _count(counts, _INPUT), _count(counts, _OUTPUT)
    # Google counts thoughts beside the answer, of which there may be none, and what its own tools
    # found beside the prompt.
    thought = _count(counts, ("thoughts_token_count",))
    found = _count(counts, ("tool_use_prompt_token_count",))
    if thought is not None:
        written = (written or 0) + thought
    if found is not None and read is not None:
        read += found
    if read is None and written is None:
        return None
    cached = _detail(counts, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens")
    if cached is None:
        cached = _count(counts, ("cached_content_token_count",))
    reasoning = _detail(
        counts, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"
    )
    # Anthropic counts what it reads from its cache, and writes to it, beside the input.
    hit = _count(counts, ("cache_read_input_tokens",))
    stored = _count(counts, ("cache_creation_input_tokens",))
    if (hit is not None or stored is not None) and read is not None:
        read, cached = read + (hit or 0) + (stored or 0), hit
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=cached,
        cache_write_tokens=stored,
        reasoning_tokens=reasoning if thought is None else thought,
        source="provider",
    )


def _count(counts: Fields, names: tuple[str, ...]) -> int | None:
    found = (counts.get(name) for name in names)
    return next((each for each in found if isinstance(each, int)), None)


def _detail(counts: Fields, places: tuple[str, ...], name: str) -> int | None:
    found = (_fields(counts.get(place)).get(name) for place in places)
    return next((each for each in found if isinstance(each, int)), None)


def _finish_reason(raw: Fields, response: ChatResponse | CompletionResponse) -> str | None:
    for place in (_first_choice(raw), raw, _beside(response)):
        for name in _REASONS:
            reason = place.get(name)
            reason = getattr(reason, "name", reason)  # an enum of Google's
            if isinstance(reason, str):
                return finish_meaning(reason)
    return None


def _first_choice(raw: Fields) -> Fields:
    choices: Any = raw.get("choices") or raw.get("candidates")
    made = cast("list[object]", choices) if isinstance(choices, list) else []
    return _fields(made[0]) if made else {}


def _logprobs(
    raw: Fields, response: ChatResponse | CompletionResponse
) -> tuple[tuple[float, ...] | None, tuple[tuple[float, ...], ...] | None]:
    """LlamaIndex keeps the most probable tokens of each position, the sampled one unmarked.

    That is in the provider's own reply, where it is one like OpenAI's.
    """
    own = _sampled(_fields(_first_choice(raw).get("logprobs")))
    if not response.logprobs:
        return own, None
    top = tuple(tuple(each.logprob for each in position) for position in response.logprobs)
    sampled = tuple(position[0] for position in top if len(position) == 1)
    return own or (sampled if len(sampled) == len(top) else None), top


def _sampled(told: Fields) -> tuple[float, ...] | None:
    """Of the tokens of a choice: chat completions have a record for each, others a list."""
    records: Any = told.get("content") or ()
    listed: Any = told.get("token_logprobs") or [_fields(each).get("logprob") for each in records]
    found = tuple(float(each) for each in listed if isinstance(each, int | float))
    return found if found and len(found) == len(listed) else None
