"""Whether an answer says what its sources say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

from thinktwice.calls import call, check_called
from thinktwice.errors import BudgetExceeded, RunError, UsageError, status_of
from thinktwice.sample import Verdict
from thinktwice.stop.algebra import at_least_one
from thinktwice.texts import text_of
from thinktwice.threads import in_thread
from thinktwice.verifiers.grounding.claims import claims_of
from thinktwice.verifiers.grounding.entailment import entailed, entailment_prompt
from thinktwice.verifiers.grounding.lexical import Corpus, look_up, read_passage
from thinktwice.verifiers.grounding.passages import retrieved, texts_of
from thinktwice.verifiers.grounding.report import combined, verdict_on
from thinktwice.verifiers.material import candidate_text
from thinktwice.verifiers.reply import CUT_OFF, unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from thinktwice.entry import Role
    from thinktwice.protocols import Options, Sampler
    from thinktwice.sample import Sample
    from thinktwice.verifiers.grounding.claims import Claim, Splitting
    from thinktwice.verifiers.grounding.entailment import Entailed
    from thinktwice.verifiers.grounding.lexical import Passage
    from thinktwice.verifiers.grounding.passages import Given, Retriever
    from thinktwice.verifiers.material import JudgePrompt

X = TypeVar("X")

_NO_PASSAGES: Final = "there are no passages to check against"


class _BrokenError(Exception):
    """Why nothing can be said; it is the evidence of the verdict."""


@dataclass(frozen=True)
class Grounding:
    """Checks what an answer claims against passages: it finds what is made up or misread.

    The answer is split into claims. Each is looked up by its words (its numbers with their units,
    its names and quotations) and, with a `judge`, by asking a model whether the passages support
    it. The score is the share of the claims that are supported. A contradicted claim is a "fail",
    with feedback that quotes the claim and the passage; all supported is a "pass", which is no
    proof; anything else is "scored".

    Without a judge only claims with a number, a name or a quotation are checked, the others are
    left out; a claim is contradicted where a sentence or row says the same with another number.
    With a judge all are checked, and its "supported" counts only if the numbers and quotations of
    the claim stand in the passages: a model does not overrule what can be looked up. A number that
    the answer worked out itself is therefore "unknown" here; checking it is a calculator's job.

    A citation such as [2] in the answer ties the claim to that passage.

    An answer without claims is "not_applicable". A retriever that fails or finds nothing is an
    "error": it says nothing of the answer. So does a judge that cannot be read.

    Cost: none without a judge; with one, a call per verdict, which reads the passages and the
    answer. With `claims=AtomicClaims(ask)` one more.

    Example:
        ```python
        Grounding(["Apples cost 3 dollars."])
        Grounding(retriever=retriever.ainvoke, judge=ask)
        Grounding(lambda prompt, value: value["context"], answer=lambda value: value["answer"])
        ```

    Attributes:
        passages: Texts, or objects with `page_content`, `text` or `content`; or a function of the
            prompt and the sample's value that returns such a list.
        retriever: Finds passages instead, for the text of the prompt or for each claim: a sync or
            async callable that returns such a list.
        judge: The model that is asked. Its value is a text, or an object or dict with `claims`.
        claims: Splits the answer otherwise: a callable of its text that returns a list of texts,
            or `AtomicClaims(ask)`.
        answer: Takes the text that is checked out of the value; by default all of its text.
        retrieve_by: What the retriever gets.
        most: Claims that are checked; any after these are "unknown".
        options: Settings of the judge's calls.
        layout: What the judge takes: `str` for one text, or `JudgePrompt.messages`.
        name: Shown in verdicts and spans.
        exact: Never.

    Raises:
        UsageError: Neither or both of `passages` and `retriever`, no passage with a text, or
            another unusable parameter.
    """

    passages: Given | None = None
    retriever: Retriever | None = field(default=None, kw_only=True)
    judge: Callable[..., object] | None = field(default=None, kw_only=True)
    claims: Splitting | None = field(default=None, kw_only=True)
    answer: Callable[..., str] | None = field(default=None, kw_only=True)
    retrieve_by: Literal["prompt", "claim"] = field(default="prompt", kw_only=True)
    most: int = field(default=50, kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    name: str = field(default="grounding", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that there is something to check against."""
        if (self.passages is None) == (self.retriever is None):
            remedy = "give either passages= or retriever="
            raise UsageError("passages", self.passages, remedy)
        if self.passages is not None and not callable(self.passages):
            _check_passages(self.passages)
        if self.judge is not None:
            check_called(self.judge, "judge")
        if self.retrieve_by not in ("prompt", "claim"):
            raise UsageError("retrieve_by", self.retrieve_by, "give 'prompt' or 'claim'")
        at_least_one("most", self.most)
        for name in ("retriever", "claims", "answer", "layout"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise UsageError(name, given, "give a function")

    @property
    def calls(self) -> int:
        """Model calls per verdict."""
        own = int(self.judge is not None) + getattr(self.claims, "calls", 0)
        return own + getattr(self.retriever, "calls", 0)

    @property
    def role(self) -> Role:
        """What it is in the ledger: a tool, unless it asks a model."""
        return "verify" if self.calls else "tool"

    @property
    def sampler(self) -> Callable[..., object] | None:
        """The judge, by whose price a run knows what to keep back for it."""
        return self.judge

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Split, look up, ask.

        Raises:
            Exception: What the judge raises; in a run this becomes an "error" verdict.
        """
        try:
            verdict = await self._verdict(sample, prompt)
        except _BrokenError as error:
            verdict = Verdict(outcome="error", evidence=(str(error),))
        return replace(verdict, verifier=self.name, sample=sample.index)

    async def _verdict(self, sample: Sample[object], prompt: object) -> Verdict:
        claims = await self._claims(sample)
        kept = claims[: self.most]
        if not kept:
            return Verdict(outcome="not_applicable")
        sources = await self._sources(kept, sample, prompt)
        if not sources.all.passages:
            raise _BrokenError(_NO_PASSAGES)
        found = await in_thread(lambda: [look_up(each.text, sources.of(each)) for each in kept])
        judged: Sequence[Entailed | None] = [None] * len(kept)
        if self.judge is not None:
            judged = await self._judged(self.judge, kept, sources.all.passages)
        checked = [
            combined(claim, finding, said, sources.of(claim).passages)
            for claim, finding, said in zip(kept, found, judged, strict=True)
        ]
        return verdict_on(checked, cut=len(claims) > self.most)

    async def _claims(self, sample: Sample[object]) -> list[Claim]:
        """One more than are checked at the most, to see that there are more."""
        text = candidate_text(sample)
        if self.answer is not None:
            try:
                text = self.answer(sample.value)
            except Exception as error:
                remedy = f"it raised {type(error).__name__}: return the text to check"
                raise UsageError("answer", self.answer, remedy) from error
        found = await _or_broken("claims=", claims_of(text, self.claims))
        return await in_thread(lambda: list(islice(found, self.most + 1)))

    async def _sources(
        self, claims: Sequence[Claim], sample: Sample[object], prompt: object
    ) -> _Sources:
        """What each claim may rest on."""
        if self.retriever is None:
            given = self.passages
            texts = await _or_broken("passages=", _listed(given, prompt, sample.value))
            return _Sources(await in_thread(lambda: _read(tuple(texts))))
        if self.retrieve_by == "prompt":
            texts = await _or_broken("retriever", retrieved(self.retriever, text_of(prompt)))
            return _Sources(await in_thread(lambda: _read(tuple(texts))))
        asked = [_or_broken("retriever", retrieved(self.retriever, each.text)) for each in claims]
        found = await _all(asked)
        texts = list(dict.fromkeys(text for each in found for text in each))
        own = {each: frozenset(texts) for each, texts in zip(claims, found, strict=True)}
        return _Sources(await in_thread(lambda: _read(tuple(texts))), own)

    async def _judged(
        self, judge: Callable[..., object], claims: Sequence[Claim], passages: Sequence[Passage]
    ) -> list[Entailed]:
        asked = self.layout(entailment_prompt(claims, passages))
        sampler = cast("Sampler[object, object]", judge)
        reply = await call(sampler, asked, role="verify", options=self.options)
        said = entailed(reply.value, len(claims), len(passages))
        if said is None or reply.finish_reason in CUT_OFF:
            raise _BrokenError(unreadable(reply))
        return said


@dataclass(frozen=True)
class _Sources:
    """What there is to check against.

    Attributes:
        all: All of it.
        own: The texts that were found for a claim, where each was looked for by itself.
    """

    all: Corpus
    own: Mapping[Claim, frozenset[str]] | None = None

    def of(self, claim: Claim) -> Corpus:
        """What the claim may rest on: what it cites, what was found for it, or all."""
        if self.own is None and not claim.citations:
            return self.all
        return Corpus(tuple(each for each in self.all.passages if self._may_rest(claim, each)))

    def _may_rest(self, claim: Claim, passage: Passage) -> bool:
        if self.own is None:
            return passage.number in claim.citations
        return passage.text in self.own[claim]


def _check_passages(passages: Sequence[object]) -> None:
    try:
        texts = texts_of(passages)
    except TypeError as error:
        raise UsageError("passages", passages, str(error)) from None
    if not texts:
        raise UsageError("passages", passages, "give at least one with a text")


async def _listed(given: Given | None, prompt: object, value: object) -> list[str]:
    return texts_of(given(prompt, value) if callable(given) else given)


@lru_cache(maxsize=16)
def _read(texts: tuple[str, ...]) -> Corpus:
    """Cut passages to places; the samples of a run are checked against the same ones."""
    return Corpus(tuple(read_passage(number, text) for number, text in enumerate(texts, 1)))


async def _all(work: Sequence[Awaitable[X]]) -> list[X]:
    """All of it at once; what one raises is raised when all have ended."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return cast("list[X]", found)


async def _or_broken(who: str, work: Awaitable[X]) -> X:
    """What it returns; what it raises is no fault of the answer."""
    try:
        return await work
    except (BudgetExceeded, UsageError):
        raise
    except RunError as error:  # its words are ours
        raise _BrokenError(f"{who} failed: {error}") from error
    except Exception as error:
        raise _BrokenError(f"{who} failed: {status_of(error)}") from error
