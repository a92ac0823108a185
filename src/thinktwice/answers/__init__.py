"""Which answers are the same answer: extraction from what samplers return, and keys to compare.

`key_function` is the door: it turns the `key=` of a strategy or verifier into a callable. Adapters
register their framework's types on `default_key` (the key of a value), `text_in` (its text),
`with_text` (the value with another text) and `documents.opened` (the object that it holds).
"""

from __future__ import annotations

from thinktwice.answers.canonical_json import canonical_json
from thinktwice.answers.choices import choice_in
from thinktwice.answers.json_path import MISSING, at_path
from thinktwice.answers.keys import (
    AwaitedKey,
    Key,
    awaited_key,
    default_key,
    fold,
    key_function,
)
from thinktwice.answers.numbers import Number, canonical_number, number_in
from thinktwice.answers.shapes import plain_of, text_in, unwrap, with_text

__all__ = [
    "MISSING",
    "AwaitedKey",
    "Key",
    "Number",
    "at_path",
    "awaited_key",
    "canonical_json",
    "canonical_number",
    "choice_in",
    "default_key",
    "fold",
    "key_function",
    "number_in",
    "plain_of",
    "text_in",
    "unwrap",
    "with_text",
]
