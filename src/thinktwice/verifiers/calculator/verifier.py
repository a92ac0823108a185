"""A verifier that works out the arithmetic in a text again."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

from thinktwice.answers import text_in, with_text
from thinktwice.sample import Verdict
from thinktwice.threads import in_thread
from thinktwice.verifiers.calculator.correction import correction
from thinktwice.verifiers.calculator.judgement import findings
from thinktwice.verifiers.calculator.names import UNITS
from thinktwice.verifiers.calculator.plain import plain
from thinktwice.verifiers.calculator.readings import logarithms, value_of
from thinktwice.verifiers.calculator.written import shown
from thinktwice.verifiers.material import candidate_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thinktwice.entry import Role
    from thinktwice.sample import Correction, Sample
    from thinktwice.verifiers.calculator.judgement import Finding
    from thinktwice.verifiers.calculator.plain import Plain
    from thinktwice.verifiers.calculator.tokens import Token
    from thinktwice.verifiers.calculator.units import Converter

_MOST_EVIDENCE: Final = 5
_LONGEST_QUOTE: Final = 300
_LONG: Final = 1000
"""Characters from which a text is read on a thread: it may take tens of milliseconds."""
_OF_FAILS: Final = 10
"""By what the share of right lines is divided for a fail's score."""


@dataclass(frozen=True)
class Calculator:
    """Passes a text whose arithmetic is right, and fails one with a wrong line.

    It finds equations in prose, Markdown, LaTeX and lists of steps ("17 * 23 = 391", "15% of 80 is
    12", chains) and works them out exactly. A number may be rounded after the last digit that it
    shows. What is no arithmetic, or could be meant otherwise, is left alone.

    It sees what is written, never the question: a wrong line is proof of a slip, and right lines
    are no proof of the answer. So it is not exact, and "not_applicable" where it finds nothing.

    A fail's score is a tenth of the share of right lines: of recorded answers 6 % of those
    with a wrong line are right, and 62 % of those without. The verdict carries a
    correction where a slip can be put right safely, and the value is a text or one message.

    Costs no model call; about a millisecond for an answer of ten lines.

    Example:
        ```python
        BestOfN(8, verifier=Calculator(), key="number")
        ```

    Attributes:
        units: Check arithmetic over different units as well, 3 km + 200 m = 3.2 km, with pint from
            the extra `units`. Without it such lines are left alone.
        name: Shown in verdicts and spans.
        exact: Never.
        calls: Model calls per verdict.

    Raises:
        UsageError: `units` is asked for, and pint is not installed.
    """

    units: bool = field(default=False, kw_only=True)
    name: str = field(default="calculator", kw_only=True)
    exact: bool = field(default=False, init=False, repr=False)
    calls: int = field(default=0, init=False, repr=False)
    role: ClassVar[Role] = "tool"

    def __post_init__(self) -> None:
        """Load the units, if they are asked for."""
        self._converter()

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Work out what the sample's text says."""
        del prompt
        text = candidate_text(sample)
        if not isinstance(sample.value, str):
            text = _spoken(text)
        if len(text) < _LONG:
            return self._verdict(sample, text)
        return await in_thread(lambda: self._verdict(sample, text))

    def _verdict(self, sample: Sample[object], text: str) -> Verdict:
        converter = self._converter()
        source = plain(text)
        everything = findings(source.text, converter)
        found = _distinct(source, everything)
        wrong = [finding for finding in found if not finding.holds]
        if not wrong:
            outcome = "pass" if found else "not_applicable"
            return Verdict(outcome=outcome, verifier=self.name, sample=sample.index)
        evidence = tuple(_said(text, source, finding) for finding in wrong[:_MOST_EVIDENCE])
        return Verdict(
            outcome="fail",
            score=(1 - len(wrong) / len(found)) / _OF_FAILS,
            feedback=_feedback(evidence[0], more=len(wrong) - 1),
            evidence=evidence,
            correction=_in_place(sample.value, text, correction(text, everything, converter)),
            verifier=self.name,
            sample=sample.index,
        )

    def _converter(self) -> Converter | None:
        if not self.units:
            return None
        from thinktwice.verifiers.calculator.units import Converter

        return Converter()


def _spoken(text: str) -> str:
    """The texts within JSON, each on lines of its own; any other text as it is."""
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(data, str) else "\n".join(_texts(data))


def _texts(data: object) -> Iterator[str]:
    waiting = [data]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping):
            waiting += list(cast("Mapping[str, object]", part).values())[::-1]
        elif isinstance(part, list):
            waiting += cast("list[object]", part)[::-1]


def _in_place(value: object, text: str, found: Correction | None) -> Correction | None:
    """The correction of a text as one of the value, if the text is the value's own."""
    whole = None if found is None else with_text(value, str(found.value))
    if found is None or whole is None or text_in(value) != text:
        return None
    return replace(found, value=whole)


def _distinct(source: Plain, found: Sequence[Finding]) -> list[Finding]:
    """Each line once, where it is written twice as in 3*4 = <<3*4=12>>12."""
    first: dict[object, Finding] = {}
    line = at = 0
    for finding in sorted(found, key=lambda each: each.claim.start):
        line += source.text.count("\n", at, finding.claim.start)
        at = finding.claim.start
        said = tuple((token.text, token.value) for token in finding.expression.tokens)
        stated = finding.stated and finding.stated.value
        first.setdefault((line, said, stated), finding)
    return list(first.values())


def _feedback(first: str, *, more: int) -> str:
    if not more:
        return first
    return f"{first} {more} more {'is' if more == 1 else 'are'} wrong."


def _said(text: str, source: Plain, finding: Finding) -> str:
    claim = finding.claim
    line = source.text.count("\n", 0, claim.start) + 1
    quote = _quoted(text, source, claim.start, claim.end)
    return f'Line {line}, "{quote}", is wrong: {_put_right(text, source, finding)}.'


def _put_right(text: str, source: Plain, finding: Finding) -> str:
    claim, stated, side = finding.claim, finding.stated, finding.expression
    if stated is None:
        return f"the left side is {shown(finding.value)}, the right side is not"
    tokens, first = side.tokens, side is claim.left
    begin = claim.start if first else tokens[0].start
    end = max(each.end for each in (tokens[-1], *(side.labels if first else ())))
    value = _to_each_base(tokens) or shown(finding.right(finding.value), stated.token.places)
    unit = [label.text for label in claim.right.labels[:1] if first and label.text in UNITS]
    behind = "%" if stated.percent else "".join(f" {name}" for name in unit)
    return f"{_quoted(text, source, begin, end)} = {value}{behind}"


def _to_each_base(tokens: Sequence[Token]) -> str:
    """The values of an expression with a log that may be to several bases; empty of any other."""
    values = {base: value_of(reading) for base, reading in logarithms(tokens).items()}
    known = {base: shown(value) for base, value in values.items() if value is not None}
    if len(set(known.values())) < len(values):
        return ""
    return ", or ".join(f"{text} to the base {base}" for base, text in known.items())


def _quoted(text: str, source: Plain, start: int, end: int) -> str:
    """A part of the text as written, on one line and without invisible characters."""
    part = slice(*source.written(start, end))
    quote = "".join(c for c in text[part] if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return quote if len(quote) <= _LONGEST_QUOTE else f"{quote[: _LONGEST_QUOTE - 3]}..."
