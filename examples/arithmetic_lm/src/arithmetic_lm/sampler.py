"""The plain door: an async callable for `thinktwice`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .asking import Turn
from .assistant import Assistant, Prompt, Reply
from .engine import Engine
from .options import DEFAULT_TEMPERATURE, Effort, Options, options_from

if TYPE_CHECKING:
    from thinktwice import Completion


Messages = Sequence[Mapping[str, object]]
"""Chat messages, each with `role` and `content`."""


class ArithmeticSampler:
    """Samples completions of a shared model.

    Args:
        model: Which model: ``"small"``, ``"skilled"`` or ``"tiny"``.
        temperature: Used when a call's options name none.
        max_tokens: Most tokens of a completion when a call's options name none.
        top_logprobs: As in `Options`, when a call's options name none.
        effort: How much to write, when a call's options do not say; see `Options`.
        engine: Writes the texts; None takes the one of `model` that this process shares.

    Raises:
        ValueError: There is no such model, or it has not learnt the effort.
    """

    provider = "local"

    def __init__(
        self,
        *,
        model: str = "small",
        temperature: float = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        top_logprobs: int = 0,
        effort: Effort = "medium",
        engine: Engine | None = None,
    ) -> None:
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.top_logprobs = top_logprobs
        self.effort = effort
        self._assistant = Assistant(engine, model=model)
        self._assistant.check(self._options(None))

    @property
    def model(self) -> str:
        """Name of the model, for prices and spans."""
        return self._assistant.name

    async def __call__(
        self, prompt: str | Messages, /, *, options: Mapping[str, object] | None = None
    ) -> Completion[str]:
        """Sample one completion.

        Args:
            prompt: A question such as ``"37*8+56"``, or chat messages with ``role`` and
                ``content``. A model with skills revises a draft that comes with feedback, in both
                forms of `thinktwice.prompting`, and checks one that comes by `check_prompt`.
            options: May hold ``temperature``, ``seed``, ``max_tokens``, ``stop``,
                ``top_logprobs`` and ``effort``.

        Raises:
            ValueError: An option is unknown or out of range.
        """
        reply = await self._assistant.reply(_prompt(prompt), self._options(options))
        return _completion(reply, self.model)

    def sample(
        self, prompt: str | Messages, /, *, options: Mapping[str, object] | None = None
    ) -> Completion[str]:
        """Like calling it, without an event loop."""
        reply = self._assistant.reply_sync(_prompt(prompt), self._options(options))
        return _completion(reply, self.model)

    def _options(self, given: Mapping[str, object] | None) -> Options:
        chosen: dict[str, object] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "top_logprobs": self.top_logprobs,
            "effort": self.effort,
        }
        chosen.update({k: v for k, v in (given or {}).items() if v is not None})
        return options_from(chosen)


def _prompt(prompt: str | Messages) -> Prompt:
    if isinstance(prompt, str):
        return prompt
    return tuple(Turn(str(m.get("role")), str(m.get("content"))) for m in prompt)


def _completion(reply: Reply, model: str) -> Completion[str]:
    # Imported here, so that the other doors work without thinktwice.
    from thinktwice import Completion, Usage

    return Completion(
        value=reply.text,
        text=reply.text,
        usage=Usage(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cache_read_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            source="provider",
        ),
        model=model,
        provider=ArithmeticSampler.provider,
        finish_reason=reply.finish_reason,
        logprobs=reply.logprobs,
        top_logprobs=reply.top_logprobs,
        cached=False,
        raw=reply,
    )
