"""Runnables that judge, and Runnables as samplers of the core."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from langchain_core.runnables import Runnable
from langchain_core.runnables.utils import Input, Output

from langchain_thinktwice.checking import takes
from langchain_thinktwice.samples import call_booked, call_traced
from langchain_thinktwice.tree import units
from thinktwice import UsageError
from thinktwice.verifiers.adapt import called, is_verifier, name_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.documents import Document

    from thinktwice import Completion, Sample, Verdict
    from thinktwice.protocols import Options

_A_RUNNABLE: Final = "give a Runnable: a model or a chain"


@dataclass(frozen=True)
class RunnableVerifier:
    """A Runnable as a verifier: its model calls are booked as such, and traced below the wrapper.

    It returns what a callable would: a bool (pass or fail), a number in [0, 1] (a score) or a
    `thinktwice.Verdict`.

    Attributes:
        runnable: What judges.
        inputs: Makes its input of the sample's value and the wrapper's input; the value by default.
        exact: A pass is proof.
        name: Shown in verdicts and spans; the Runnable's own by default.
        calls: Model calls a verdict takes: those found in the Runnable.
    """

    runnable: Runnable[Any, Any]
    _: KW_ONLY
    inputs: Callable[[Any, Any], object] | None = None
    exact: bool = False
    name: str = ""
    calls: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Count its models."""
        if not isinstance(self.runnable, Runnable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("runnable", self.runnable, _A_RUNNABLE)
        object.__setattr__(self, "name", self.name or self.runnable.get_name())
        object.__setattr__(self, "calls", sum(1 for _ in units(self.runnable)))

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Judge."""
        asked = sample.value if self.inputs is None else self.inputs(sample.value, prompt)
        return verdict_of((await call_booked(self.runnable, asked)).value)


class RunnableSampler(Generic[Input, Output]):
    """A Runnable as a sampler of `thinktwice`: for a `Judge`, or for `solve` with several samplers.

    Attributes:
        runnable: What is sampled.
        leaf: False: its model calls are booked one by one.
    """

    leaf = False

    def __init__(self, runnable: Runnable[Input, Output]) -> None:
        """Take a Runnable.

        Raises:
            UsageError: It is none.
        """
        if not isinstance(runnable, Runnable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("runnable", runnable, _A_RUNNABLE)
        self.runnable = runnable

    async def __call__(
        self, prompt: Input, /, *, options: Options | None = None
    ) -> Completion[Output]:
        """Call it once.

        Args:
            prompt: Its input.
            options: Settings of its one model.
        """
        return await call_booked(self.runnable, prompt, options)

    def __repr__(self) -> str:
        """The constructor."""
        return f"RunnableSampler({self.runnable!r})"


@dataclass(frozen=True)
class RunnableRetriever:
    """A LangChain retriever as one of `thinktwice`, for a `Grounding`; traced below the wrapper.

    Attributes:
        retriever: Finds documents for a text.
    """

    retriever: Runnable[str, Sequence[Document]]

    def __post_init__(self) -> None:
        """Refuse what is no Runnable."""
        if not isinstance(self.retriever, Runnable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("retriever", self.retriever, "give a retriever of LangChain")

    async def __call__(self, query: str) -> Sequence[Document]:
        """Find documents."""
        return (await call_booked(self.retriever, query)).value


@dataclass(frozen=True)
class _Function:
    """A plain callable as a check: models that it calls are traced below a run of its own."""

    check: Callable[[Any], object]
    name: str
    exact: bool
    calls: int

    @property
    def __wrapped__(self) -> Callable[[Any], object]:
        """The callable: a check says by its docstring what is wanted."""
        return self.check

    async def __call__(self, value: object) -> object:
        return await call_traced(lambda: called(self.check, value), value)


def as_verifier(verifier: object, parameter: str = "verifier") -> Any:  # noqa: ANN401 - whatever the core takes as a verifier
    """A Runnable as a `RunnableVerifier`, and a plain callable as one that is traced.

    Args:
        verifier: What judges.
        parameter: What it was given as.

    Raises:
        UsageError: A plain callable does not take the output alone.
    """
    if isinstance(verifier, Runnable):
        return RunnableVerifier(cast("Runnable[Any, Any]", verifier))
    if not callable(verifier) or isinstance(verifier, type) or is_verifier(verifier):
        return verifier
    if not takes(verifier, None):  # each call would fail, and that says nothing of a sample
        remedy = (
            "it is called with the output alone; RunnableVerifier(RunnableLambda(check), inputs=) "
            "makes what it is called with of output and input"
        )
        raise UsageError(parameter, verifier, remedy)
    exact, calls = getattr(verifier, "exact", False), getattr(verifier, "calls", 0)
    return _Function(verifier, name_of(verifier), exact is True, calls)
