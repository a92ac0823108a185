"""Grounding in what LlamaIndex retrieved."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from llama_index.core.llms import LLM
from llama_index.core.schema import MetadataMode, QueryBundle

import llama_index_thinktwice.answers  # noqa: F401 - registers LlamaIndex's types
from llama_index_thinktwice.finding import check_finder, found
from llama_index_thinktwice.sampler import LLMSampler
from llama_index_thinktwice.verifiers.given import source_texts
from thinktwice import UsageError
from thinktwice.verifiers import Grounding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index_thinktwice.finding import Finder
    from thinktwice.verifiers.grounding.passages import Given, Retriever


@dataclass(frozen=True)
class SourceGrounding(Grounding):
    """Checks what a response claims against its own source nodes: it finds what is made up.

    It is `thinktwice.verifiers.Grounding`, with the source nodes as passages in their order, so
    that a citation such as [2] means the second node. A response without source nodes is an
    "error". Claims that no node speaks of are `verdict.missing`: a `StrategyQueryEngine` under
    `CritiqueRepair` or `ToolCheck` retrieves again for these.

    Cost: none without a judge; with one, an LLM call per verdict, which reads the nodes and the
    answer.

    Example:
        ```python
        BestOfN(4, verifier=SourceGrounding())
        CritiqueRepair(SourceGrounding(judge=llm))
        ```

    Attributes:
        judge: The LLM that is asked, or a sampler; None to check numbers, names and quotations by
            looking them up.
        metadata_mode: Which metadata of a node counts as part of its text: by default what the
            synthesizer's LLM reads.
        claims: As in `Grounding`, like the others.

    Raises:
        UsageError: An unusable parameter.
    """

    passages: Given | None = field(default=None, init=False, repr=False, compare=False)
    retriever: Retriever | None = field(default=None, init=False, repr=False)
    retrieve_by: Any = field(default="prompt", init=False, repr=False)
    judge: LLM | Callable[..., object] | None = field(default=None, kw_only=True)  # type: ignore[assignment]
    name: str = field(default="source_grounding", kw_only=True)
    metadata_mode: MetadataMode = field(default=MetadataMode.LLM, kw_only=True)

    def __post_init__(self) -> None:
        """Take the source nodes for passages, and an LLM for a judge."""
        if not isinstance(self.metadata_mode, MetadataMode):
            raise UsageError("metadata_mode", self.metadata_mode, "give a MetadataMode")
        object.__setattr__(self, "passages", partial(source_texts, mode=self.metadata_mode))
        if isinstance(self.judge, LLM):
            object.__setattr__(self, "judge", LLMSampler(self.judge))
        super().__post_init__()


@dataclass(frozen=True)
class RetrieverSource:
    """A retriever or query engine of LlamaIndex as the retriever of a `Grounding`.

    A query engine only retrieves; it is not asked for an answer.

    Example:
        ```python
        Grounding(retriever=RetrieverSource(index.as_retriever()), retrieve_by="claim")
        ```

    Attributes:
        retriever: Finds nodes for a text.
        metadata_mode: Which metadata of a node counts as part of its text.

    Raises:
        UsageError: It is neither, or an engine that cannot retrieve.
    """

    retriever: Finder
    _: KW_ONLY
    metadata_mode: MetadataMode = MetadataMode.LLM

    def __post_init__(self) -> None:
        """See that it can retrieve."""
        check_finder(self.retriever)

    async def __call__(self, query: str) -> Sequence[str]:
        """The texts that it finds."""
        nodes = await found(self.retriever, QueryBundle(query))
        return [each.get_content(metadata_mode=self.metadata_mode) for each in nodes]
