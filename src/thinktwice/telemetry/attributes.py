"""The table: every attribute name that thinktwice writes.

`gen_ai.usage.*` and the attributes of vendors go on leaf spans of model calls only, so that no
backend counts a token twice; what belongs to a run, a sample or a verdict is under `thinktwice.*`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CACHE_WRITE: Final = "cache_creation.input_tokens"
"""The end of the name of the tokens that were written to a cache: later drafts of the conventions
call it `cache_write.input_tokens`, which few backends read."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
"""The version of the conventions that the names are of."""

# Ours.
RUN_ID: Final = "thinktwice.run.id"
STRATEGY: Final = "thinktwice.strategy"
REQUESTED: Final = "thinktwice.samples.requested"
LAUNCHED: Final = "thinktwice.samples.launched"
USED: Final = "thinktwice.samples.used"
FAILED: Final = "thinktwice.samples.failed"
CANCELLED: Final = "thinktwice.samples.cancelled"
EXHAUSTIVE: Final = "thinktwice.exhaustive"
EXPLORED: Final = "thinktwice.explored"
SELECTION: Final = "thinktwice.selection"
STOPPED_BY: Final = "thinktwice.stopped_by"
AGREEMENT: Final = "thinktwice.agreement"
SELECTED: Final = "thinktwice.selected.index"
INDEX: Final = "thinktwice.sample.index"
ARRIVAL: Final = "thinktwice.sample.arrival"
GROUP: Final = "thinktwice.sample.group"
WEIGHT: Final = "thinktwice.sample.weight"
LENGTH: Final = "thinktwice.sample.length"
SAMPLER: Final = "thinktwice.sampler"
VARIANT: Final = "thinktwice.sample.variant"
HEDGE: Final = "thinktwice.sample.hedge"
ROLE: Final = "thinktwice.role"
STATUS: Final = "thinktwice.status"
OUTCOME: Final = "thinktwice.outcome"
SCORE: Final = "thinktwice.score"
VERIFIER: Final = "thinktwice.verifier"
MODEL: Final = "thinktwice.model"
CACHED: Final = "thinktwice.cached"
CALLS: Final = "thinktwice.calls"
UNPRICED: Final = "thinktwice.calls.unpriced"
QUEUED: Final = "thinktwice.queue_seconds"
COST: Final = "thinktwice.cost"
CURRENCY: Final = "thinktwice.cost.currency"
COST_COMPLETE: Final = "thinktwice.cost.complete"
USAGE_SOURCE: Final = "thinktwice.usage.source"
BUDGET: Final = "thinktwice.budget."
STEP: Final = "thinktwice.step"
TOKEN_TYPE: Final = "thinktwice.token.type"
SHADOW: Final = "thinktwice.shadow"
CHANGED: Final = "thinktwice.shadow.changed"
USAGE: Final[Mapping[str, str]] = {
    "input_tokens": "thinktwice.usage.input_tokens",
    "output_tokens": "thinktwice.usage.output_tokens",
    "cache_read_tokens": "thinktwice.usage.cache_read.input_tokens",
    "cache_write_tokens": f"thinktwice.usage.{CACHE_WRITE}",
    "reasoning_tokens": "thinktwice.usage.reasoning.output_tokens",
}
# The conventions'; usage, models and settings on leaf spans of model calls alone.
GEN_AI_USAGE: Final[Mapping[str, str]] = {
    name: ours.replace("thinktwice", "gen_ai") for name, ours in USAGE.items()
}
GEN_AI_REQUEST: Final[Mapping[str, str]] = {
    name: f"gen_ai.request.{name}"
    for name in (
        *("temperature", "top_p", "top_k", "max_tokens", "seed"),
        *("frequency_penalty", "presence_penalty"),
    )
}
GEN_AI_TOOL: Final = "gen_ai.tool.name"
AGENT: Final = "gen_ai.agent.name"
OPERATION: Final = "gen_ai.operation.name"
WORKFLOW: Final = "gen_ai.workflow.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
PROVIDER: Final = "gen_ai.provider.name"
CHOICES: Final = "gen_ai.request.choice.count"
STREAM: Final = "gen_ai.request.stream"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_ID: Final = "gen_ai.response.id"
KIND: Final = "openinference.span.kind"
ERROR_TYPE: Final = "error.type"

# Of vendors, for the cost of a call.
GEN_AI_COST: Final = "gen_ai.usage.cost"
OPERATION_COST: Final = "operation.cost"
MLFLOW_COST: Final = "mlflow.llm.cost"
LANGFUSE_COST: Final = "langfuse.observation.cost_details"
OPENINFERENCE_COST: Final = "llm.cost.total"
DRAFT_AMOUNT: Final = "gen_ai.usage.cost.amount"
DRAFT_CURRENCY: Final = "gen_ai.usage.cost.currency"
DRAFT_SOURCE: Final = "gen_ai.usage.cost.source"
# Of OpenInference, for the counts of a call.
OPENINFERENCE_USAGE: Final[Mapping[str, str]] = {
    "input_tokens": "llm.token_count.prompt",
    "output_tokens": "llm.token_count.completion",
    "cache_read_tokens": "llm.token_count.prompt_details.cache_read",
    "cache_write_tokens": "llm.token_count.prompt_details.cache_write",
    "reasoning_tokens": "llm.token_count.completion_details.reasoning",
}
OPENINFERENCE_TOTAL: Final = "llm.token_count.total"

# Only while content is captured.
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
INPUT_VALUE: Final = "input.value"
OUTPUT_VALUE: Final = "output.value"

# Of log events.
EVALUATION: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
EXCHANGE: Final = "gen_ai.client.inference.operation.details"
