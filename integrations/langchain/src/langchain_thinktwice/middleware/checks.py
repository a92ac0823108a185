"""Checking what a model proposes, before it is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.tools import BaseTool

from langchain_thinktwice.messages import message_in
from langchain_thinktwice.middleware.actions import StepMessage, answered
from thinktwice import UsageError, Verdict
from thinktwice.before import Action, Decision, check_before
from thinktwice.before.checking import OnError
from thinktwice.verifiers import AllOf, Schema
from thinktwice.verifiers.tool import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, ToolCall

    from thinktwice import Sample
    from thinktwice.entry import Role
    from thinktwice.protocols import Verifier
    from thinktwice.verifiers import Check


@dataclass(frozen=True, init=False)
class ActionCheck:
    """Checks every tool call of a message before it is made, by `thinktwice.before.check_before`.

    Give it to `StrategyMiddleware(checks=...)`, and what it refuses is never made. As the verifier
    of a strategy it passes a message of which every call may be made, or that has none, and fails
    others with the reasons as feedback.

    In an agent the arguments must fit the schema of the tool, as JSON whose types are not
    converted, and there must be such a tool. Then come the checks.

    Cost: the model calls of the checks, for each tool call.

    Attributes:
        checks: A plain callable gets an `Action(name, args)` and returns a bool or a `Verdict`;
            a verifier gets it as the value of its sample, and the conversation as its prompt.
        on_error: "allow" lets a call through whose check broke.
        timeout: Seconds for each check that calls no model; None for no limit.
        name: Shown in verdicts and spans.
        exact: False: a call that may be made need not be the right one.

    Raises:
        UsageError: What is no check, or another unusable parameter.
    """

    checks: tuple[Verifier[object] | Check, ...]
    on_error: OnError
    timeout: float | None
    name: str = field(default="action", init=False)
    exact: bool = field(default=False, init=False)

    def __init__(
        self,
        *checks: Verifier[object] | Check,
        on_error: OnError = "refuse",
        timeout: float | None = DEFAULT_TIMEOUT,
    ) -> None:
        if on_error not in get_args(OnError):
            raise UsageError("on_error", on_error, "give 'refuse' or 'allow'")
        if checks:
            AllOf(*checks, timeout=timeout)  # which says what is wrong with them
        given = {"checks": checks, "on_error": on_error, "timeout": timeout}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def calls(self) -> int:
        """Model calls of its checks, for one tool call."""
        return sum(getattr(each, "calls", 0) for each in self.checks)

    @property
    def role(self) -> Role:
        """In the ledger: "tool" if none of its checks calls a model."""
        return "verify" if self.calls else "tool"

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Judge a message; what was refused within the step fails for those reasons."""
        message = message_in(sample.value)
        reasons: tuple[str, ...] = getattr(message, "refusals", ())
        decisions: Sequence[Decision] = ()
        if message is not None and not reasons:
            decisions = await self.decide(message, prompt=prompt)
            reasons = reasons_of(decisions)
        outcome = "pass"
        if reasons:
            only_broken = bool(decisions) and all(map(_broke, decisions))
            outcome = "error" if only_broken else "fail"
        return Verdict(
            outcome=outcome,
            feedback="\n".join(reasons) or None,
            evidence=reasons,
            verifier=self.name,
            sample=sample.index,
        )

    async def decide(self, message: AIMessage, *, prompt: object) -> list[Decision]:
        """Whether each tool call of a message may be made; those of structured output are none."""
        answers = answered(message.response) if isinstance(message, StepMessage) else set[str]()
        pending = (call for call in message.tool_calls if call["id"] not in answers)
        tools = {_name(each): each for each in getattr(message, "tools", ())}
        return [await self._decided(call, tools, prompt) for call in pending]

    async def _decided(
        self, call: ToolCall, tools: Mapping[str, BaseTool | dict[str, Any]], prompt: object
    ) -> Decision:
        action = Action(call["name"], call["args"], call["id"])
        if tools and action.name not in tools:
            reason = f"There is no tool of that name, only {', '.join(tools)}."
            return Decision(allowed=False, action=action, reasons=(reason,))
        tool = tools.get(action.name)
        schemas = [Schema(tool.tool_call_schema)] if isinstance(tool, BaseTool) else []
        if not (schemas or self.checks):
            return Decision(allowed=True, action=action)
        return await check_before(
            action,
            *schemas,
            *self.checks,
            prompt=prompt,
            on_error=self.on_error,
            timeout=self.timeout,
        )


def reasons_of(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """Why calls were refused, each with the name of its tool."""
    refusals = (each for each in decisions if not each)
    return tuple(f"{each.action.name}: {why}" for each in refusals for why in each.reasons)


def _broke(decision: Decision) -> bool:
    """It was not refused by a check, but for one that broke."""
    said = {verdict.outcome for verdict in decision.verdicts}
    return decision.allowed or ("error" in said and "fail" not in said)


def _name(tool: BaseTool | Mapping[str, Any]) -> str:
    """The name by which a model calls a tool."""
    if isinstance(tool, BaseTool):
        return tool.name
    inner: Mapping[str, Any] = tool.get("function") or tool
    return str(inner.get("name") or inner.get("type"))
