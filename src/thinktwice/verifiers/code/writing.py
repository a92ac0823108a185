"""Tests that a model writes, for tasks that come without any."""

from __future__ import annotations

import ast
import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

from thinktwice.answers import text_in
from thinktwice.answers.programs import cleaned, parsed
from thinktwice.calls import check_called
from thinktwice.sandbox.protocol import Case
from thinktwice.stop.algebra import at_least_one
from thinktwice.texts import text_of
from thinktwice.verifiers.code.asserts import called_in, readings
from thinktwice.verifiers.code.case import CodeTest
from thinktwice.verifiers.material import JudgePrompt, framed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from thinktwice.protocols import Options

_ROLE: Final = "You write tests for a program that somebody else writes for a task."
_REQUEST: Final = """\
Write {count} tests of {function}, each in one line of this form, with literals only:
assert {call}(<arguments>) == <value>

Take every value from the task alone. Cover ordinary inputs, edge cases and larger inputs. Answer \
with these lines and nothing else; do not write the program."""

_LINES: Final = 20
"""Most lines of one assert."""

_REMEMBERED: Final = 256


@dataclass(frozen=True)
class AssertWriter:
    """Asks a model for tests of a task.

    They are as good as the model: many asserts of a weak one are wrong, so a program that passes
    them may be wrong, and one that fails them right. See `CodeT` for what to do with that.

    Cost: one call a task.

    Attributes:
        sampler: The model.
        count: Asserts to ask for.
        options: Settings of its calls.
        layout: What its sampler takes: `str` for one text, or `JudgePrompt.messages`.

    Raises:
        UsageError: The sampler is not callable, or the count is not at least 1.
    """

    sampler: Callable[..., object]
    count: int = field(default=8, kw_only=True)
    options: Options | None = field(default=None, kw_only=True)
    layout: Callable[[JudgePrompt], object] = field(default=str, kw_only=True)

    def __post_init__(self) -> None:
        """See that it can be asked."""
        check_called(self.sampler)
        at_least_one("count", self.count)

    def request(self, prompt: object, *, entry_point: str | None = None) -> object:
        """What the model is asked; the task is data in it."""
        asked = _REQUEST.format(
            count=self.count,
            function=entry_point or "the function that the task asks for",
            call=entry_point or "<function>",
        )
        return self.layout(framed(_ROLE, [("task", text_of(prompt))], asked))

    def read(self, reply: object, *, entry_point: str | None = None) -> list[CodeTest]:
        """The tests in an answer: asserts whose values can be compared outside of a sandbox."""
        text = text_in(reply) or ""
        return written_tests(text, entry_point=entry_point)[: 4 * self.count]


def as_writer(generate: AssertWriter | Callable[..., object]) -> AssertWriter:
    """The writer itself, or one that asks a sampler."""
    return generate if isinstance(generate, AssertWriter) else AssertWriter(generate)


def written_tests(text: str, *, entry_point: str | None = None) -> list[CodeTest]:
    """The asserts of a text, each once; what is cut off, or no call and literal, is left out.

    Args:
        text: Anything that a model wrote.
        entry_point: What every one must call.
    """
    found: dict[str, CodeTest] = {}
    for condition in _conditions(cleaned(text).split("\n")):
        for expression, expected in readings(condition) or ():
            if _closed(expression, entry_point):
                test = CodeTest(case=Case(expression), expected=expected)
                found.setdefault(f"{expression} {expected}", test)
    return list(found.values())


def _conditions(lines: list[str]) -> Iterator[ast.expr]:
    """Of each assert at the start of a line, also where it takes several."""
    for first, line in enumerate(lines):
        if not line.lstrip().startswith("assert "):
            continue
        for end in range(first + 1, min(first + _LINES, len(lines)) + 1):
            tree = parsed("\n".join([line.lstrip(), *lines[first + 1 : end]]))
            if tree is not None:
                yield cast("ast.Assert", tree.body[0]).test
                break


def _closed(expression: str, entry_point: str | None) -> bool:
    """It calls the entry point, and names nothing but what it calls."""
    tree = ast.parse(expression)
    called = set(called_in(tree))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names <= called and (entry_point is None or entry_point in called)


class Remembered:
    """What was written for a task, for all who ask: at the same time, or later."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._known: dict[str, list[CodeTest]] = {}
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = (
            WeakKeyDictionary()
        )

    async def get(self, task: str, make: Callable[[], Awaitable[list[CodeTest]]]) -> list[CodeTest]:
        """What is known, or what is made; one that fails is made anew for the next who asks."""
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        async with locks.setdefault(task, asyncio.Lock()):
            known = self._known.get(task)
            if known is None:
                known = self._known[task] = await make()
                if len(self._known) > _REMEMBERED:
                    del self._known[next(iter(self._known))]
        return known

    def __reduce__(self) -> tuple[type[Remembered], tuple[()]]:
        """Pickled without what is remembered, which belongs to this process."""
        return Remembered, ()
