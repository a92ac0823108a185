"""What a model call consumed, as LangChain hands it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_thinktwice.accounting.logprobs import logprobs
from langchain_thinktwice.messages import Reading, finish_reason, read_message
from thinktwice import Usage
from thinktwice.sample import tier_meaning

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.outputs import LLMResult

_TIERS = ("priority", "flex")
_INPUT, _OUTPUT = ("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")


@dataclass(frozen=True)
class Reply:
    """A finished model call.

    Attributes:
        messages: Its generations; none of a model of texts.
        reading: What the first of them says of itself.
        usage: Its tokens; None where the provider reports none.
        model: The model that answered, by the provider's name for it.
        provider: Who served it.
        cached: It came from a cache of LangChain's.
        finish_reasons: Why each of its generations ended.
        response_id: The provider's name for it; None of what came from a cache.
    """

    messages: tuple[AIMessage, ...]
    reading: Reading
    usage: Usage | None
    model: str | None
    provider: str | None
    cached: bool
    finish_reasons: tuple[str | None, ...] = ()
    response_id: str | None = None

    @property
    def message(self) -> AIMessage | None:
        """The first of its messages; None of a model of texts."""
        return self.messages[0] if self.messages else None


def read_reply(result: LLMResult, run_id: UUID | None = None) -> Reply:
    """Read the result of one model call.

    Each of several generations repeats the usage of the whole request: it is taken once.

    Args:
        result: What LangChain hands to callbacks at the end of the call.
        run_id: Of the call.
    """
    messages = _messages(result)
    first = messages[0] if messages else None
    reported = next((m.usage_metadata for m in messages if m.usage_metadata), None)
    output: Mapping[str, Any] = result.llm_output or {}
    metadata = first.response_metadata if first is not None else {}
    reading = read_message(first) if first is not None else _read_text(result)
    cached = _is_cached(reported, first, result, run_id)
    others = (finish_reason(each.response_metadata) for each in messages[1:])
    return Reply(
        messages=tuple(messages),
        reading=reading,
        usage=_told(reported, output, metadata),
        model=_name(metadata, "model_name", "model") or _name(output, "model_name", "model"),
        provider=_name(metadata, "model_provider"),
        cached=cached,
        finish_reasons=(reading.finish_reason, *others),
        response_id=None if cached else _name(metadata, "id") or _name(output, "id"),
    )


def serving(asked: str | None, heard: str | None) -> str | None:
    """Who serves a model: Azure's messages have the name of OpenAI, whose format they are in.

    Args:
        asked: Whom the client asks.
        heard: Who made the message.
    """
    return asked if asked == "azure" else heard or asked


def _is_cached(
    reported: Mapping[str, Any] | None,
    message: AIMessage | None,
    result: LLMResult,
    run_id: UUID | None,
) -> bool:
    """LangChain marks what it takes from its cache by a cost of 0, which no provider writes.

    It does so on the generation that it keeps, which a call that is about to end may hold as well.
    What comes from the cache has no output of the request, and the id of an earlier call.
    """
    if message is None or reported is None or reported.get("total_cost") != 0:
        return False
    return not result.llm_output and (run_id is None or str(run_id) not in (message.id or ""))


def _messages(result: LLMResult) -> list[AIMessage]:
    return [
        generation.message
        for generations in result.generations
        for generation in generations
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
    ]


def _read_text(result: LLMResult) -> Reading:
    generation = next((each for several in result.generations for each in several), None)
    if generation is None:
        return Reading()
    info = generation.generation_info or {}
    return Reading(generation.text, finish_reason(info), logprobs(info))


def _told(
    reported: Mapping[str, Any] | None, output: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Usage | None:
    usage = _of_message(reported) or _of_output(output.get("token_usage") or output.get("usage"))
    return None if usage is None else replace(usage, tier=_tier(metadata) or _tier(output))


def _tier(fields: Mapping[str, Any]) -> str | None:
    """Of the service; OpenAI names it beside the usage, Anthropic in it."""
    usage = fields.get("usage")
    inside = cast("Mapping[str, Any]", usage) if isinstance(usage, Mapping) else {}
    return tier_meaning(fields.get("service_tier") or inside.get("service_tier"))


def _of_message(reported: Mapping[str, Any] | None) -> Usage | None:
    if not reported or not (reported.get("input_tokens") or reported.get("output_tokens")):
        return None
    read: Mapping[str, Any] = reported.get("input_token_details") or {}
    written: Mapping[str, Any] = reported.get("output_token_details") or {}
    # OpenAI's client puts the name of another service tier than the standard one before its keys.
    tier = next((f"{name}_" for name in _TIERS if name in read), "")
    # Anthropic reports writes by how long they live, and then leaves the plain key at 0.
    ephemeral = [count for key, count in read.items() if key.startswith("ephemeral_")]
    plain = read.get(f"{tier}cache_creation")
    writes = [plain] if plain is not None else []
    writes += [count for count in ephemeral if count is not None]
    return Usage(
        input_tokens=reported.get("input_tokens"),
        output_tokens=reported.get("output_tokens"),
        cache_read_tokens=read.get(f"{tier}cache_read"),
        cache_write_tokens=sum(writes) if writes else None,
        reasoning_tokens=written.get(f"{tier}reasoning"),
        source="provider",
    )


def _of_output(reported: object) -> Usage | None:
    if not isinstance(reported, Mapping):
        return None
    counts = cast("Mapping[str, Any]", reported)
    read = next((counts[name] for name in _INPUT if counts.get(name)), None)
    written = next((counts[name] for name in _OUTPUT if counts.get(name)), None)
    if read is None and written is None:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=_detail(counts, _INPUT, "cached_tokens"),
        reasoning_tokens=_detail(counts, _OUTPUT, "reasoning_tokens"),
        source="provider",
    )


def _detail(counts: Mapping[str, Any], names: tuple[str, ...], detail: str) -> int | None:
    """A part of a count, where OpenAI and servers like it put that."""
    details = next((counts[key] for name in names if (key := f"{name}_details") in counts), None)
    return details.get(detail) if isinstance(details, Mapping) else None


def _name(fields: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        if found := fields.get(name):
            return found if isinstance(found, str) else None
    return None
