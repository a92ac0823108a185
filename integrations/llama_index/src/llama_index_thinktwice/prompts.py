"""Prompts of what is inside a wrapper, at any depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.prompts.mixin import PromptMixin

if TYPE_CHECKING:
    from llama_index.core.prompts import BasePromptTemplate


class NestedPrompts(PromptMixin):
    """A mixin: `update_prompts` takes every key of `get_prompts`.

    That of LlamaIndex fails for prompts two levels down, such as
    "query_engine:response_synthesizer:text_qa_template".
    """

    def update_prompts(self, prompts_dict: dict[str, BasePromptTemplate]) -> None:
        """Replace some of the prompts; the others stay.

        Raises:
            ValueError: Nothing inside has the name that a key begins with.
        """
        self._update_prompts({key: each for key, each in prompts_dict.items() if ":" not in key})
        modules = self._get_prompt_modules()
        for key, prompt in prompts_dict.items():
            name, colon, rest = key.partition(":")
            if not colon:
                continue
            if name not in modules:
                raise ValueError(f"Module {name} not found.")
            modules[name].update_prompts({rest: prompt})
