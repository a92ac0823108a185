"""Query transforms that run a strategy over rewrites, and what runs transforms without blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thinktwice.lazy import names_of

if TYPE_CHECKING:
    from llama_index_thinktwice.transforms.checks import parses as parses
    from llama_index_thinktwice.transforms.checks import retrieves as retrieves
    from llama_index_thinktwice.transforms.engine import (
        AsyncTransformQueryEngine as AsyncTransformQueryEngine,
    )
    from llama_index_thinktwice.transforms.engine import (
        AsyncTransformRetriever as AsyncTransformRetriever,
    )
    from llama_index_thinktwice.transforms.evidence import Evidence as Evidence
    from llama_index_thinktwice.transforms.named import (
        BestOfNQueryTransform as BestOfNQueryTransform,
    )
    from llama_index_thinktwice.transforms.named import (
        CritiqueRepairQueryTransform as CritiqueRepairQueryTransform,
    )
    from llama_index_thinktwice.transforms.named import (
        ToolCheckQueryTransform as ToolCheckQueryTransform,
    )
    from llama_index_thinktwice.transforms.named import VoteQueryTransform as VoteQueryTransform
    from llama_index_thinktwice.transforms.rewrite import Rewrite as Rewrite
    from llama_index_thinktwice.transforms.rewrite import word_set as word_set
    from llama_index_thinktwice.transforms.transform import (
        StrategyQueryTransform as StrategyQueryTransform,
    )

_HOMES = {
    "AsyncTransformQueryEngine": "engine",
    "AsyncTransformRetriever": "engine",
    "BestOfNQueryTransform": "named",
    "CritiqueRepairQueryTransform": "named",
    "Evidence": "evidence",
    "Rewrite": "rewrite",
    "StrategyQueryTransform": "transform",
    "ToolCheckQueryTransform": "named",
    "VoteQueryTransform": "named",
    "parses": "checks",
    "retrieves": "checks",
    "word_set": "rewrite",
}

__all__ = [
    "AsyncTransformQueryEngine",
    "AsyncTransformRetriever",
    "BestOfNQueryTransform",
    "CritiqueRepairQueryTransform",
    "Evidence",
    "Rewrite",
    "StrategyQueryTransform",
    "ToolCheckQueryTransform",
    "VoteQueryTransform",
    "parses",
    "retrieves",
    "word_set",
]

__getattr__ = names_of(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
