"""The forms in which tests are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, cast

from thinktwice.answers.literals import call_expression
from thinktwice.errors import UsageError
from thinktwice.sandbox.protocol import Case
from thinktwice.sandbox.values import NoText, encode
from thinktwice.verifiers.code.case import CodeTest, Suite
from thinktwice.verifiers.code.expectation import Expectation
from thinktwice.verifiers.code.sources import suite_in

Tests: TypeAlias = (
    "str | Sequence[str] | Sequence[tuple[tuple[object, ...], object]] | Sequence[tuple[str, str]]"
)
"""Python text or lines of `assert`; or pairs: arguments and value, or input and output."""

_FORM: Final = (
    "give asserts or a pytest file as text, or pairs: ((arguments,), value) with entry_point=, or "
    "(input, output) without"
)


def suite_of(tests: Tests, *, entry_point: str | None = None) -> Suite:
    """Read tests of any form.

    Args:
        tests: A text (asserts, a pytest file, a HumanEval `check`); a list of lines of `assert`; a
            list of pairs of a tuple of arguments and the value expected, which takes an
            entry point; or a list of pairs of standard input and output, for whole programs.
        entry_point: What is called with the arguments.

    Raises:
        UsageError: They are none of these, there are none, they assert nothing, or a value is no
            plain data.
    """
    if isinstance(tests, str):
        return suite_in(tests, entry_point=entry_point)
    given = list(cast("Sequence[object]", tests)) if isinstance(tests, Sequence) else []
    if given and all(isinstance(each, str) for each in given):
        return suite_in("\n".join(map(str, given)), entry_point=entry_point)
    if not given:
        raise UsageError("tests", tests, _FORM)
    return Suite(tests=tuple(_pair(each, entry_point) for each in given))


def _pair(given: object, entry_point: str | None) -> CodeTest:
    parts = list(cast("Sequence[object]", given)) if isinstance(given, tuple | list) else []
    if len(parts) != 2:  # noqa: PLR2004 - a pair
        raise UsageError("tests", cast("object", given), _FORM)
    put_in, expected = parts
    if entry_point is None and isinstance(put_in, str) and isinstance(expected, str):
        return CodeTest(case=Case(stdin=put_in), expected=Expectation(value=expected))
    if entry_point is None or not isinstance(put_in, tuple):
        raise UsageError("tests", parts, _FORM)
    try:
        encode(expected)
    except NoText:
        raise UsageError("tests", expected, "expect plain data, not objects") from None
    call = call_expression(entry_point, cast("tuple[object, ...]", put_in))
    return CodeTest(case=Case(call), expected=Expectation(value=expected))
