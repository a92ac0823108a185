"""The doors that check a draft and put it right: `critique_repair` and `tool_check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langchain_thinktwice.prompting import check_revisable
from langchain_thinktwice.shadow.runnable import wrapped
from langchain_thinktwice.tree import units
from langchain_thinktwice.verifiers import RunnableSampler, as_verifier
from thinktwice.strategies.critique_repair import CritiqueRepair
from thinktwice.strategies.tool_check import ToolCheck

if TYPE_CHECKING:
    from langchain_thinktwice.runnable import StrategyRunnable
    from langchain_thinktwice.settings import Settings, WithResult
    from langchain_thinktwice.wrap import Judging, Key
    from thinktwice import Strategy
    from thinktwice.strategies.critique_repair import Mode
    from thinktwice.strategies.tool_check import OnFail

I = TypeVar("I")  # noqa: E741 - input
O = TypeVar("O")  # noqa: E741 - output


@overload
def critique_repair(
    runnable: Runnable[I, O],
    verifier: Judging | None = None,
    *,
    mode: Mode | None = None,
    rounds: int = 2,
    confirm: int = 2,
    critic: Runnable[Any, Any] | None = None,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: Literal[False] = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, O]: ...


@overload
def critique_repair(
    runnable: Runnable[I, O],
    verifier: Judging | None = None,
    *,
    mode: Mode | None = None,
    rounds: int = 2,
    confirm: int = 2,
    critic: Runnable[Any, Any] | None = None,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: Literal[True],
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, WithResult[O]]: ...


def critique_repair(
    runnable: Runnable[I, O],
    verifier: Judging | None = None,
    *,
    mode: Mode | None = None,
    rounds: int = 2,
    confirm: int = 2,
    critic: Runnable[Any, Any] | None = None,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: bool = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, Any]:
    """Draft, check, and revise with the feedback; return the best draft, the first one included.

    Costs one sample and one verdict where the draft passes, else up to as many more as
    `CritiqueRepair` says. The feedback goes into the input: as further messages, behind a text, or
    into a dict's `feedback`, placeholder for messages or `messages` (see `RunnablePrompting`).

    Args:
        runnable: A model, a chain, or whatever else has no side effects.
        verifier: What checks: a verifier of `thinktwice`, a callable of the output, or a Runnable
            of it. Without one the model criticises itself, which rarely helps.
        mode: How feedback is made, as in `CritiqueRepair`.
        rounds: Revisions at the most.
        confirm: Verdicts that must agree before a revision takes the draft's place, where the
            verifier is not exact.
        critic: A chat model that criticises, reflects or asks, where the mode needs one; the one
            chat model of the Runnable by default.
        key: What answers are told apart by, as in `vote`.
        of: The strategy that makes the draft, such as `Vote(4)`.
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Settings`.

    Returns:
        A Runnable with the same input and output types.

    Raises:
        UsageError: As `with_strategy`; or the input has no place for feedback.
    """
    check_revisable(runnable)
    strategy = CritiqueRepair(
        None if verifier is None else as_verifier(verifier),
        mode=mode,
        rounds=rounds,
        confirm=confirm,
        critic=_critic(critic, runnable, asked=verifier is None or mode not in (None, "critic")),
        key=key,
        of=of,
    )
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **settings)


@overload
def tool_check(
    runnable: Runnable[I, O],
    *tools: Judging,
    on_fail: OnFail = "repair",
    rounds: int = 2,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: Literal[False] = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, O]: ...


@overload
def tool_check(
    runnable: Runnable[I, O],
    *tools: Judging,
    on_fail: OnFail = "repair",
    rounds: int = 2,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: Literal[True],
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, WithResult[O]]: ...


def tool_check(
    runnable: Runnable[I, O],
    *tools: Judging,
    on_fail: OnFail = "repair",
    rounds: int = 2,
    key: Key | None = None,
    of: Strategy | None = None,
    include_result: bool = False,
    **settings: Unpack[Settings],
) -> StrategyRunnable[I, Any]:
    """Check what a Runnable returns by tools, and repair, correct or reject what fails.

    Costs one sample where the tools pass it; `on_fail="repair"` up to `rounds` more.

    Args:
        runnable: A model, a chain, or whatever else has no side effects.
        *tools: What checks: a `Calculator`, `Code`, `Grounding`, `Schema` or other verifier of
            `thinktwice`, a callable of the output, or a LangChain tool or other Runnable of it.
        on_fail: "repair" asks for a better answer with the evidence; "inject" puts computed values
            in where that is safe; "reject" returns None.
        rounds: Repairs at the most.
        key: What answers are told apart by, as in `vote`.
        of: The strategy that makes the draft.
        include_result: Return `{"value": ..., "result": ...}`, in the manner of `include_raw`.
        **settings: See `Settings`.

    Returns:
        A Runnable with the same input and output types.

    Raises:
        UsageError: As `with_strategy`; or there is no tool, or the input has no place for feedback.
    """
    if on_fail == "repair":
        check_revisable(runnable)
    checks = (as_verifier(tool, "tools") for tool in tools)
    strategy = ToolCheck(*checks, on_fail=on_fail, rounds=rounds, key=key, of=of)
    return wrapped(bound=runnable, strategy=strategy, include_result=include_result, **settings)


def _critic(
    critic: Runnable[Any, Any] | None, bound: object, *, asked: bool
) -> RunnableSampler[Any, Any] | None:
    """The model that criticises: the one given, or where one is asked the only one there is."""
    if critic is not None:
        return RunnableSampler(critic)
    if not asked or not isinstance(bound, Runnable):
        return None
    found = [each.model for each in units(cast("Runnable[Any, Any]", bound))]
    if len(found) != 1 or not isinstance(found[0], BaseChatModel):
        return None
    return RunnableSampler(cast("Runnable[Any, Any]", found[0]))
