"""What an answer claims: its statements, or what a model breaks them down to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from thinktwice.calls import call, check_called
from thinktwice.errors import RunError
from thinktwice.threads import in_thread
from thinktwice.verifiers.grounding.sentences import statements
from thinktwice.verifiers.material import JudgePrompt, framed
from thinktwice.verifiers.reply import CUT_OFF, fields_of, unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from thinktwice.protocols import Options, Sampler

_CITED = re.compile(
    r"[ \t]?(?:\[(\^?\d[\d,;\-\u2013 ^]{0,40})\]|\u3010(\d{1,3})[^\u3011\n]{0,40}\u3011)"
)
_RANGE = re.compile(r"(\d{1,3})(?:[ ]?[-\u2013][ ]?(\d{1,3}))?")
_MOST_CITED: Final = 20

_ROLE: Final = "You break an answer down into the claims that it makes."
_REQUEST: Final = """\
List the claims of the answer, each as one short sentence about one fact that can be understood \
alone: put names in the place of pronouns, and keep numbers, units, names and quotations as they \
are. Leave out questions, greetings and opinions. Add nothing.

Answer with one JSON object and nothing else: {"claims": ["<claim>", ...]}"""


class Claim(NamedTuple):
    """One thing that an answer says.

    Attributes:
        text: One line, without markup and without citations.
        citations: Numbers of the passages that it cites, from 1.
    """

    text: str
    citations: tuple[int, ...] = ()


Splitting: TypeAlias = "Callable[[str], Sequence[str] | Awaitable[Sequence[str]]]"
"""Takes the text of an answer and returns its claims, sync or async."""


def split_claims(text: str) -> Iterable[Claim]:
    """The statements of an answer that claim something: no questions, headings and lead-ins.

    A citation such as [1], [2, 3] or [4-6], in a sentence or behind it, ties the claim to these
    passages.
    """
    for statement in statements(text):
        claim = as_claim(statement.text)
        lead_in = claim.text.endswith((":", "?", "\uff1f"))
        if not statement.heading and not lead_in and any(map(str.isalnum, claim.text)):
            yield claim


def as_claim(text: str) -> Claim:
    """A statement with its citations apart."""
    cited = [each for match in _CITED.finditer(text) for each in _numbers(match[1] or match[2])]
    return Claim(_CITED.sub("", text).strip(), tuple(dict.fromkeys(cited))[:_MOST_CITED])


def _numbers(cited: str) -> Iterable[int]:
    for first, last in _RANGE.findall(cited):
        yield from range(int(first), min(int(last or first), int(first) + _MOST_CITED) + 1)


async def claims_of(text: str, splitting: Splitting | None) -> Iterable[Claim]:
    """The claims of an answer, by the splitter of the caller or by ours."""
    if splitting is None:
        return split_claims(text)
    if inspect.iscoroutinefunction(splitting) or inspect.iscoroutinefunction(
        getattr(splitting, "__call__", None)  # noqa: B004 - an object with an async __call__
    ):
        found: object = splitting(text)
    else:
        found = await in_thread(lambda: splitting(text))
    if inspect.isawaitable(found):
        found = await found
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise TypeError("claims= must return a list of texts")
    return [as_claim(str(each)) for each in cast("Sequence[object]", found)]


@dataclass(frozen=True)
class AtomicClaims:
    """Breaks an answer down into atomic claims, with a language model.

    Sentences say several things at once, and "it" and "there". Claims about one fact each, that can
    be understood alone, are easier to check (Min et al. 2023, FActScore, arXiv:2305.14251). The
    model may leave a claim out, or add one; the answer is data in its prompt.

    Cost: one call of the sampler per answer, which reads it and writes about as much.

    Example:
        ```python
        Grounding(passages, judge=ask, claims=AtomicClaims(ask))
        ```

    Attributes:
        sampler: The model.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.
        calls: Model calls per answer.

    Raises:
        UsageError: The sampler is not callable.
    """

    sampler: Callable[..., object]
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)
    calls: int = field(default=1, init=False, repr=False)

    def __post_init__(self) -> None:
        """See that it can be asked."""
        check_called(self.sampler)

    async def __call__(self, text: str, /) -> list[str]:
        """The claims of an answer.

        Raises:
            RunError: The reply was not a list of claims.
        """
        model = cast("Sampler[object, object]", self.sampler)
        asked = self.layout(framed(_ROLE, [("answer", text)], _REQUEST))
        reply = await call(model, asked, role="verify", options=self.options)
        fields = None if reply.finish_reason in CUT_OFF else fields_of(reply.value, "claims")
        claims = cast("list[object] | None", fields["claims"] if fields else None)
        if not isinstance(claims, list) or not all(isinstance(each, str) for each in claims):
            raise RunError(unreadable(reply))
        return [str(each) for each in claims]
