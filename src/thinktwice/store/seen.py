"""Reading a span: whose it is, and which of its attributes say what."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from thinktwice import telemetry
from thinktwice.store.tree import TRILLION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]

_LONGEST: Final = 200
_MOST: Final = 10**15  # more than any count, and few enough to add up in 64 bits
_DEAREST: Final = 10**4  # USD of one span; sums of these fit as well
_KIND: Final = "openinference.span.kind"
_OPERATION: Final = "gen_ai.operation.name"
_OURS: Final = "thinktwice"
_MODEL_CALLS: Final = frozenset({"chat", "text_completion", "generate_content", "completion"})


class Seen:
    """A span as this module reads it: an SDK's attributes are slow to look up one by one.

    Attributes:
        span: The span.
        attributes: A copy.
        ours: thinktwice wrote it.
        kind: What it is of: run, agent, sample, verify, tool, call, shadow, or a role of its own.
    """

    __slots__ = ("attributes", "kind", "ours", "span")

    def __init__(self, span: ReadableSpan) -> None:
        """Read it."""
        self.span = span
        self.attributes: dict[str, AttributeValue] = dict(span.attributes or {})
        self.ours = is_ours(span)
        self.kind = self._kind() if self.ours else "call"

    def _kind(self) -> str:
        if self.attributes.get(_KIND) == "LLM":
            return "call"
        operation = self.attributes.get(_OPERATION)
        if operation == "invoke_workflow":
            return "run"
        if operation == "invoke_agent":
            return "agent"
        if operation == "execute_tool":
            return "tool"
        return self.span.name.removeprefix("thinktwice.").split(" ", 1)[0]


def is_ours(span: ReadableSpan) -> bool:
    """Whether thinktwice wrote it."""
    scope = span.instrumentation_scope
    return scope is not None and scope.name == _OURS


def is_model_call(span: ReadableSpan) -> bool:
    """Whether it is a model call, by the words of OpenTelemetry, OpenInference or OpenLLMetry."""
    get = (span.attributes or {}).get
    if (kind := get(_KIND)) is not None:
        return kind == "LLM"
    operation = get(_OPERATION) or get("llm.request.type")
    return operation in _MODEL_CALLS


def name_of(seen: Seen) -> str | None:
    """Of the strategy, the verifier, the variant or the sampler; spans may be named by anything."""
    for name in (telemetry.STRATEGY, telemetry.VERIFIER, telemetry.VARIANT, telemetry.SAMPLER):
        if name in seen.attributes:
            return short(seen.attributes[name])
    return None


def model_of(attributes: Attributes) -> str | None:
    """The model that answered, or else the one that was asked."""
    for name in (
        telemetry.MODEL,
        "gen_ai.response.model",
        "gen_ai.request.model",
        "llm.model_name",
    ):
        if name in attributes:
            return short(attributes[name])
    return None


def status_of(attributes: Attributes) -> str | None:
    """How it ended: the type of what it raised, a verdict's outcome, or a status."""
    error = attributes.get("error.type")
    return short(error or attributes.get(telemetry.OUTCOME) or attributes.get(telemetry.STATUS))


_TOKENS: Final = {
    "input_tokens": (
        "thinktwice.usage.input_tokens",
        "gen_ai.usage.input_tokens",
        "llm.token_count.prompt",
    ),
    "output_tokens": (
        "thinktwice.usage.output_tokens",
        "gen_ai.usage.output_tokens",
        "llm.token_count.completion",
    ),
}


def tokens_of(attributes: Attributes, which: str) -> int | None:
    """Of one kind, "input_tokens" or "output_tokens", whoever counted them."""
    for name in _TOKENS[which]:
        if (count := whole(attributes, name)) is not None:
            return count
    return None


def whole(attributes: Attributes, name: str) -> int | None:
    """A whole number, as far as SQLite can add it up."""
    value = attributes.get(name)
    return max(-_MOST, min(value, _MOST)) if isinstance(value, int) else None


def trillionths(cost: AttributeValue | None) -> int | None:
    """Of an amount of USD, ten thousand at the most."""
    if not isinstance(cost, int | float) or (isinstance(cost, float) and not math.isfinite(cost)):
        return None
    return round(max(-_DEAREST, min(cost, _DEAREST)) * TRILLION)


def real(value: AttributeValue | None) -> float | None:
    """A number."""
    return float(value) if isinstance(value, int | float) else None


def microseconds(seconds: AttributeValue | None) -> int:
    """Of a time in seconds."""
    return round(1e6 * (real(seconds) or 0.0))


def start_of(span: ReadableSpan) -> int:
    """Microseconds since 1970."""
    return (span.start_time or 0) // 1000


def duration_of(span: ReadableSpan) -> int:
    """Microseconds."""
    return max(0, (span.end_time or 0) - (span.start_time or 0)) // 1000


def short(text: AttributeValue | None) -> str | None:
    """A name, and never more: an attribute of somebody else's may be anything.

    What no terminal prints, or no file keeps, is replaced.
    """
    if not text:
        return None
    kept = str(text)[:_LONGEST]
    if kept.isprintable():
        return kept
    return "".join(each if each.isprintable() else "\ufffd" for each in kept)
