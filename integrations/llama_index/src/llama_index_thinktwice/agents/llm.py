"""The LLM of an agent that samples its steps."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field

from llama_index_thinktwice.llm.model import StrategyLLM
from llama_index_thinktwice.responses import METADATA, summary
from thinktwice import BudgetExceeded
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from llama_index.core.llms.llm import ToolSelection

    from llama_index_thinktwice.llm.calls import LLMResponse, Prompt

taken: Final[ContextVar[dict[str, Any] | None]] = ContextVar(
    "llama_index_thinktwice_step", default=None
)
"""Summary of the last answer in the running step of an agent."""


class AgentLLM(StrategyLLM):
    """A `StrategyLLM` that can end the run of its agent where a budget refuses a step.

    Attributes:
        exit_behavior: Whether it answers with last words then, or raises.
    """

    exit_behavior: Literal["end", "error"] = Field(default="end", exclude=True)

    def __init__(self, *, exit_behavior: Literal["end", "error"] = "end", **given: Any) -> None:
        """As of `StrategyLLM`."""
        super().__init__(**given)
        self.exit_behavior = exit_behavior

    async def _aanswer(self, prompt: Prompt, given: dict[str, Any]) -> LLMResponse:
        try:
            response = await super()._aanswer(prompt, given)
        except BudgetExceeded as error:
            if self.exit_behavior == "error" or isinstance(prompt, str):
                raise
            response = last_words(error)
        taken.set(cast("Any", response).additional_kwargs.get(METADATA))
        if isinstance(response, ChatResponse):  # agents change what a message says
            own = response.message.model_copy(deep=True)
            return response.model_copy(update={"message": own})
        return response

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002 - LlamaIndex's signature
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """As the LLM finds them; a `CodeActAgent` also asks where the LLM calls no functions."""
        if not error_on_no_tool_call and not isinstance(self.llm, FunctionCallingLLM):
            return []
        return super().get_tool_calls_from_response(
            response, error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )


def last_words(error: BudgetExceeded) -> ChatResponse:
    """What an agent ends with whose budget is used up.

    No earlier text of the model is in it: an agent that reads actions in texts would act again.
    """
    result = error.result
    ledger = ledger_around() or (result.ledger if result else None)
    text = f"I have to stop here: {error.limit}."
    if ledger is not None:
        text += f" Spent in all: {ledger}."
    told = {**(summary(result) if result else {}), "stopped_by": error.limit.kind}
    return ChatResponse(
        message=ChatMessage(text, role=MessageRole.ASSISTANT),
        additional_kwargs={METADATA: told},
    )
