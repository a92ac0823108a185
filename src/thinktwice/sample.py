"""What a sampler returns, what a run keeps of it, and what a verifier says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, get_args

from thinktwice.errors import TypeOf, UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from decimal import Decimal

T_co = TypeVar("T_co", covariant=True)

UsageSource = Literal["provider", "estimated", "missing"]
Outcome = Literal["pass", "fail", "scored", "error", "not_applicable"]
_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_TRUST: dict[UsageSource, int] = {"missing": 0, "estimated": 1, "provider": 2}


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one call or of a sum of calls; a count that is not known is None, never 0.

    Attributes:
        input_tokens: All input tokens, those read from a prompt cache included.
        output_tokens: All output tokens, reasoning included.
        cache_read_tokens: The part of the input read from the provider's cache.
        cache_write_tokens: The part of the input written to it.
        reasoning_tokens: The part of the output spent on hidden reasoning.
        source: Who counted: the provider, an estimate of ours, or nobody.
        tier: The service tier that the call was made in, such as "priority", if the provider says
            another than its standard one. It matters to prices alone: no part of equality.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: UsageSource = "missing"
    tier: str | None = field(default=None, compare=False)

    def __add__(self, other: Usage) -> Usage:
        """The sum, count by count; its source is the less trusted of the two."""
        return added((self, other))

    @property
    def total_tokens(self) -> int | None:
        """Input and output tokens together; None when neither is known."""
        read, written = self.input_tokens, self.output_tokens
        if read is None or written is None:
            return written if read is None else read
        return read + written


def added(usages: Sequence[Usage]) -> Usage:
    """The sum of one or more, as by `+`: one object, however many they are."""
    first = usages[0]
    if len(usages) == 1:
        return first
    return Usage(
        input_tokens=_sum([each.input_tokens for each in usages]),
        output_tokens=_sum([each.output_tokens for each in usages]),
        cache_read_tokens=_sum([each.cache_read_tokens for each in usages]),
        cache_write_tokens=_sum([each.cache_write_tokens for each in usages]),
        reasoning_tokens=_sum([each.reasoning_tokens for each in usages]),
        source=min([each.source for each in usages], key=_TRUST.__getitem__),
        tier=first.tier if all(each.tier == first.tier for each in usages) else None,
    )


NO_USAGE = Usage(source="provider")
"""The neutral element of `+`: nothing counted, and nothing left uncounted."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Completion(Generic[T_co]):
    """What a sampler may return instead of a bare value, when it knows more.

    Attributes:
        value: The value handed to the caller, exactly as it is.
        text: The text that was generated, where the value is something else.
        usage: Tokens of the call, as the provider reports them; None if it reports none.
        model: Name of the model that answered, for prices and spans.
        provider: Who serves the model ("openai", "local", ...), for prices and spans.
        finish_reason: "stop", "length", "content_filter", "tool_calls", as the provider says.
        response_id: The provider's name for the response, for spans.
        logprobs: Natural-log probability of each sampled token, in order.
        top_logprobs: Those of the most probable tokens at each position, the sampled one among
            them or not; as many as the provider was asked for.
        cached: The answer came from a cache of the caller's: it cost nothing.
        raw: The provider's own response object.
    """

    value: T_co
    text: str | None = None
    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[float, ...], ...] | None = None
    cached: bool = False
    raw: object = None

    def __repr__(self) -> str:
        """One line without content."""
        tokens = self.usage.total_tokens if self.usage else None
        return f"<Completion of {self.model}: {self.finish_reason}, {tokens} tokens>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Sample(Generic[T_co]):
    """One finished draw. A failed draw is a sample with an error, not an exception.

    Attributes:
        index: Position in launch order, from 0.
        value: What the sampler returned; None when it failed.
        answer: The key that votes are counted by; None abstains.
        text: The text that was generated, if there is one.
        logprobs: Natural-log probability of each sampled token.
        top_logprobs: Those of the most probable tokens at each position.
        finish_reason: Why generation ended, as the provider says.
        cached: The value came from a cache and cost nothing.
        usage: Tokens of all calls below this sample.
        cost: Money of all calls below this sample in USD; None while unpriced.
        seconds: Latency of the draw, without the time it queued.
        model: The model that answered; None if several did or it is not known.
        error: What the sampler raised.
        sampler: Name of the sampler in a run with several.
        variant: Name of the variant it was drawn from, in a run that varies its draws.
    """

    index: int
    value: T_co | None = None
    answer: Hashable | None = None
    text: str | None = None
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[float, ...], ...] | None = None
    finish_reason: str | None = None
    cached: bool = False
    usage: Usage = field(default=Usage())
    cost: Decimal | None = None
    seconds: float = 0.0
    model: str | None = None
    error: Exception | None = None
    sampler: str | None = None
    variant: str | None = None

    @property
    def mean_logprob(self) -> float | None:
        """Mean log-probability of a token; None without log-probabilities."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None

    def __repr__(self) -> str:
        """One line without content."""
        state = f"error={type(self.error).__name__}" if self.error else "ok"
        return f"<Sample {self.index}: {state}, {self.usage.total_tokens} tokens>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Correction:
    """A sample's value with what a verifier computed put in.

    Attributes:
        value: The value, changed there and nowhere else.
        changes: What stood there and what stands there now, in order.
    """

    value: object
    changes: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Correction: {len(self.changes)} changes>"


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """What a verifier says of one sample.

    Attributes:
        outcome: "pass", "fail", "scored" (a number and no claim), "error" (the check itself
            broke: says nothing of the sample) or "not_applicable".
        score: In [0, 1]; a pass is 1 and a fail 0 unless said otherwise.
        feedback: What to change, for a repair.
        evidence: What the feedback rests on, such as a failing case.
        missing: What nothing at hand speaks of, such as a claim that no passage has: where passages
            are retrieved, another search for it may settle it.
        correction: The value put right, where the verifier can do that and it is safe.
        verifier: Name of the verifier that said it.
        sample: Index of the sample it is about.
    """

    outcome: Outcome
    score: float | None = None
    feedback: str | None = None
    evidence: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    correction: Correction | None = None
    verifier: str | None = None
    sample: int | None = None

    def __post_init__(self) -> None:
        """Refuse an outcome that there is not, and a score that is none."""
        if self.outcome not in _OUTCOMES:
            raise UsageError("outcome", self.outcome, f"give one of {', '.join(_OUTCOMES)}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise UsageError("score", self.score, "give a number in [0, 1], or None")
        if self.score is None and self.outcome in {"pass", "fail"}:
            object.__setattr__(self, "score", float(self.outcome == "pass"))

    def __repr__(self) -> str:
        """One line without content."""
        return f"<Verdict {self.outcome} of sample {self.sample} by {self.verifier}: {self.score}>"


_FINISHES = {
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "model_length": "length",
    "prohibited_content": "content_filter",
    "safety": "content_filter",
}


_STANDARD = frozenset({"", "auto", "default", "on_demand", "standard"})


def finish_meaning(reason: str | None) -> str | None:
    """Why generation ended, in one spelling for all providers where it cut the reply short."""
    return None if reason is None else _FINISHES.get(reason.lower(), reason)


def tier_meaning(tier: object) -> str | None:
    """The service tier that a response names; None for the standard one, whatever its word."""
    return tier.lower() if isinstance(tier, str) and tier.lower() not in _STANDARD else None


def sound(usage: object) -> Usage:
    """A usage as it may be added up: one with a count below 0, or none, says nothing.

    Raises:
        UsageError: It is no `Usage`, or a count is no whole number.
    """
    if not isinstance(usage, Usage):
        raise UsageError("usage", TypeOf(usage), "give a Usage(input_tokens=, output_tokens=, ...)")
    if usage.source not in _TRUST:
        raise UsageError("usage", usage.source, f"give a source of {', '.join(_TRUST)}")
    for name in _COUNTS:
        count = getattr(usage, name)
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, int):
            raise UsageError(f"usage.{name}", count, "give a whole number, or None if unknown")
        if count < 0:
            return Usage()
    return usage


def known_counts(usage: Usage) -> Mapping[str, int]:
    """The token counts that are known, by name."""
    return {name: count for name in _COUNTS if (count := getattr(usage, name)) is not None}
