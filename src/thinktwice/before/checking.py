"""Whether a proposed tool call may be made."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from thinktwice import telemetry
from thinktwice.before.action import action_of, is_of, schema_of
from thinktwice.before.mending import mended
from thinktwice.errors import UsageError
from thinktwice.repair import cleaned
from thinktwice.sample import Sample, Verdict
from thinktwice.verifiers.adapt import called
from thinktwice.verifiers.all_of import AllOf
from thinktwice.verifiers.schema import Schema
from thinktwice.verifiers.tool import DEFAULT_TIMEOUT, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from thinktwice.before.action import Action
    from thinktwice.protocols import Sampler, Verifier
    from thinktwice.verifiers.adapt import Check

OnError: TypeAlias = Literal["refuse", "allow"]

_NO_OBJECT: Final = "The arguments are not a JSON object."
_OTHER_TOOL: Final = "The call is of another tool than the one that may be called here."
_MOST_REASON: Final = 1000


@dataclass(frozen=True, kw_only=True, repr=False)
class Decision:
    """Whether a tool call may be made; true if it may.

    Attributes:
        allowed: It may.
        action: What was checked, and the only thing that may be executed: a copy of what was
            proposed, or what a repair made of it.
        reasons: Why it may not, for the model that proposed it.
        verdicts: What the checks said of the action, as far as they were asked.
        repaired: The action is not the proposed one.
    """

    allowed: bool
    action: Action
    reasons: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    repaired: bool = False

    def __bool__(self) -> bool:
        """Whether it may be made: `if decision` must not be true of a refusal."""
        return self.allowed

    def __repr__(self) -> str:
        """One line without content."""
        said = "allowed" if self.allowed else "refused"
        return f"<Decision: {self.action!r} {'repaired and ' if self.repaired else ''}{said}>"


async def check_before(
    action: object,
    *checks: Verifier[object] | Check,
    tool: object = None,
    dry_run: Callable[..., object] | None = None,
    repair: Sampler[str, object] | None = None,
    rounds: int = 1,
    prompt: object = None,
    on_error: OnError = "refuse",
    timeout: float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - of each check, not of all
) -> Decision:
    """Check a proposed tool call before it is made; the tool itself is never called.

    First the arguments are checked by every `Schema`, as JSON whose types are not converted: "500"
    is no int, while a date may be a text. Then the call is checked by all other checks, then it is
    tried by the dry run. Each step is taken only if the one before refused nothing, so a policy and
    a dry run see arguments of the right form. Only a pass, or that there was nothing to check, lets
    a call through. A check that breaks or hangs refuses: before an action, not knowing is no
    permission.

    Cost: the model calls of the checks, and of `repair` at most `rounds`; of the checks then once
    more each time. Inside a run they are on its account.

    Args:
        action: A mapping or an object with a name and arguments: an `Action`, a LangChain
            `ToolCall`, a call as OpenAI or Anthropic write it.
        checks: A `Schema` gets the arguments. Other verifiers get the `Action` as the value of a
            sample, and plain callables get it as their argument.
        tool: What would be executed. Its `args_schema`, or the signature of a function, is
            one more schema, and its attribute `dry_run` the dry run. A call of another name, which
            is the model's choice, is refused.
        dry_run: Called with the arguments, by name; must have no effect. It refuses by returning
            False or a `Verdict`, or by a `ValueError`, whose text the model is told.
        repair: Asked for better arguments of the same tool, with a text that says what is wrong; it
            returns them as JSON, as a mapping, or as a message with one call of the tool. What it
            returns is checked like what was proposed.
        rounds: How often it is asked at the most. It is not, where a check broke.
        prompt: What the user wants, for `repair` and for verifiers that read it.
        on_error: "allow" lets a call through whose check broke.
        timeout: Seconds for each check that calls no model and has no limit of its own, and for
            the dry run; None for no limit.

    Raises:
        UsageError: There is no check, the action is no tool call, or another parameter is unusable.
        BudgetExceeded: A check or a repair does not fit the budget of the run around it.
    """
    if on_error not in get_args(OnError):
        raise UsageError("on_error", on_error, "give 'refuse' or 'allow'")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0:
        raise UsageError("rounds", rounds, "give a whole number of at least 0")
    steps = _steps(checks, tool, dry_run, timeout)
    action = proposed = action_of(action)
    if not is_of(action, tool):  # no repair, which changes arguments alone
        other = Verdict(outcome="fail", feedback=_OTHER_TOOL, verifier="tool")
        reasons = (_reason(other),)
        return Decision(allowed=False, action=action, reasons=reasons, verdicts=(other,))
    while True:
        verdicts = await _asked(action, steps, prompt, on_error)
        refusing = _refusing(verdicts, on_error)
        decision = Decision(
            allowed=not refusing,
            action=action,
            reasons=tuple(map(_reason, refusing)),
            verdicts=tuple(verdicts),
            repaired=action is not proposed,
        )
        mendable = all(each.outcome == "fail" for each in refusing)
        if decision or repair is None or rounds == 0 or not mendable:
            return decision
        rounds -= 1
        args = await mended(action, decision.reasons, repair, prompt)
        if isinstance(args, str):
            return replace(decision, reasons=(*decision.reasons, args))
        action = replace(action, args=args)


def _steps(
    checks: Sequence[Verifier[object] | Check],
    tool: object,
    dry_run: Callable[..., object] | None,
    timeout: float | None,
) -> list[list[AllOf]]:
    """Which checks are asked, one step after another."""
    schema = None if tool is None else schema_of(tool)
    schemas = [*([schema] if schema else []), *(c for c in checks if isinstance(c, Schema))]
    fitting = [Tool(_fitting(each), name=each.name, timeout=timeout) for each in schemas]
    others: list[Verifier[object] | Check] = [c for c in checks if not isinstance(c, Schema)]
    trial = dry_run or getattr(tool, "dry_run", None)
    trials = [] if trial is None else [Tool(_trial(trial), name="dry_run", timeout=timeout)]
    if not (schemas or others or trials):
        raise UsageError("checks", checks, "give at least one: a Schema, a function, or tool=")
    return [[AllOf(c, timeout=timeout) for c in step] for step in (fitting, others, trials)]


async def _asked(
    action: Action, steps: Sequence[Sequence[AllOf]], prompt: object, on_error: OnError
) -> list[Verdict]:
    """What the checks say, up to the first step that refuses it."""
    if not isinstance(action.args, Mapping):
        return [Verdict(outcome="fail", feedback=_NO_OBJECT, verifier="arguments")]
    verdicts: list[Verdict] = []
    for checks in steps:
        verdicts += [await _said(check, action, prompt) for check in checks]
        if _refusing(verdicts, on_error):
            break
    return verdicts


async def _said(check: AllOf, action: Action, prompt: object) -> Verdict:
    """What one check says of a copy: what was checked is what may be executed."""
    attributes = {telemetry.EVALUATION_NAME: check.name, telemetry.VERIFIER: check.name}
    name = f"thinktwice.verify {check.name}"
    recorder = telemetry.Recorder()
    with recorder.span(name, "EVALUATOR", attributes) as on:
        verdict = await check(Sample(index=0, value=deepcopy(action)), prompt=prompt)
        telemetry.describe_verdict(on, verdict)
        recorder.tell_verdict(verdict)
    return verdict


def _refusing(verdicts: Iterable[Verdict], on_error: OnError) -> list[Verdict]:
    """Those that do not let it through."""
    harmless = {"pass", "not_applicable", *(("error",) if on_error == "allow" else ())}
    return [each for each in verdicts if each.outcome not in harmless]


def _reason(verdict: Verdict) -> str:
    if verdict.outcome == "error":
        return f'The check "{verdict.verifier}" broke: {", ".join(verdict.evidence)}.'
    if verdict.outcome == "scored":
        return f'The check "{verdict.verifier}" gave a score, and a score is no permission.'
    said = verdict.feedback or f'The check "{verdict.verifier}" failed.'
    return cleaned(said, _MOST_REASON)


def _fitting(schema: Schema) -> Check:
    """A schema as a check of the arguments, as they are."""

    def check(action: Action) -> bool | Verdict:
        problems = schema.problems(action.args, data=True)
        if not problems:
            return True
        feedback = "\n  ".join(["The arguments do not have the right form:", *problems])
        return Verdict(outcome="fail", feedback=feedback, evidence=tuple(problems))

    return check


def _trial(dry_run: Callable[..., object]) -> Check:
    """A dry run as a check: it passes unless it says no."""

    async def check(action: Action) -> bool | Verdict:
        def tried(_: object) -> object:
            return dry_run(**action.args)

        try:
            said = await called(tried, None)
        except UsageError:
            raise
        except ValueError as error:
            return Verdict(outcome="fail", feedback=f"A dry run refused it: {cleaned(str(error))}")
        if isinstance(said, Verdict):
            return said
        return said is not False

    return check
