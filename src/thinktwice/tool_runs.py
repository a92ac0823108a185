"""The run of a tool that checks a sample, with a span of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from thinktwice import telemetry
from thinktwice.sample import Verdict
from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span

    from thinktwice.protocols import Verifier
    from thinktwice.sample import Sample

P = TypeVar("P")


async def verdict_by(verifier: Verifier[P], sample: Sample[object], *, prompt: P) -> Verdict:
    """What a verifier says; if it is a tool, its run has a span.

    Args:
        verifier: Whom to ask.
        sample: What it judges.
        prompt: What that answers.

    Raises:
        Exception: Whatever the verifier raises.
    """
    if getattr(verifier, "role", "verify") != "tool" or hasattr(verifier, "verifiers"):
        return await verifier(sample, prompt=prompt)  # it is none, or puts several together
    recorder = _recorder()
    with recorder.tool(verifier.name) as on:
        recorder.say_tried(on, sample.value)
        verdict = await verifier(sample, prompt=prompt)
        if isinstance(verdict, Verdict):
            recorder.say_found(on, verdict)
    return verdict


def tool_span(name: str) -> AbstractContextManager[Span, bool | None]:
    """The span of a run of a tool, in a verifier that does more than that.

    Args:
        name: Of the tool.
    """
    return _recorder().tool(name)


def _recorder() -> telemetry.Recorder:
    scope = current_scope()
    return telemetry.Recorder() if scope is None else scope.recorder
