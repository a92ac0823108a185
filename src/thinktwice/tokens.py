"""Token counts of texts whose provider reported none: estimates and upper bounds.

An estimate uses tiktoken when its rank files are found on this machine, and a rule over words,
digits and signs otherwise. Nothing here touches the network: tiktoken itself would download what it
does not find, so it is never asked to look.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thinktwice.sample import Usage
from thinktwice.texts import messages_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tiktoken

_PER_MESSAGE = 4
"""Tokens that a chat template spends on the frame of one message."""
_PER_REPLY = 3
"""Tokens that it spends on opening the reply."""


def estimate_tokens(text: str, model: str | None = None) -> int:
    """Estimate the tokens of a text: always to be flagged as an estimate.

    With tiktoken and local rank files this is exact for the models tiktoken knows and near for
    others (their vocabularies are of like size); the first call then loads the ranks, which takes a
    few tenths of a second. Without them it is within about 20 % for English, code and JSON, and
    within 40 % for other scripts.

    Args:
        text: The text.
        model: Name of the model, which selects the vocabulary; a current one if None.
    """
    if not text:
        return 0
    encoding = _encoding(_vocabulary(model)) or _encoding(_DEFAULT)
    if encoding is not None:
        return len(encoding.encode_ordinary(text))
    return _rule(text)


def upper_bound_tokens(text: str) -> int:
    """A count that the text cannot exceed: its UTF-8 bytes, and the frame of a chat request.

    A byte-level BPE token covers at least one byte. The bound is loose (about four times the count
    in English), and does not hold for images, audio or files, which are not text.
    """
    return len(text.encode("utf-8", "surrogatepass")) + _PER_MESSAGE + _PER_REPLY


def estimate_usage(prompt: object, output_text: str | None, model: str | None = None) -> Usage:
    """Usage of a call whose provider reported none.

    Reasoning that was billed and not shown is not in it.

    Args:
        prompt: What the sampler was given; see `messages_in`.
        output_text: The text that came back; None leaves the output unknown.
        model: Name of the model.

    Returns:
        A usage with `source="estimated"`.
    """
    messages = list(messages_in(prompt))
    counted = sum(estimate_tokens(message, model) for message in messages)
    return Usage(
        input_tokens=counted + _PER_MESSAGE * len(messages) + _PER_REPLY,
        output_tokens=None if output_text is None else estimate_tokens(output_text, model),
        source="estimated",
    )


# ---- the rule -----------------------------------------------------------------------------------

_PIECES = (
    (r"[A-Za-z]+", 0.94),  # words: most are one token,
    (r"\d{1,3}", 1.7),  # digits by threes, a space before them being a token of its own
    (r"[!-/:-@\[-`{-~]+", 0.82),  # runs of signs
    (r"\n\s*| {2,}", 1.2),  # line breaks and indents
    (r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", 0.6),  # Chinese, Japanese, Korean
    (r"[^\x00-\x7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", 0.41),  # other scripts
)
_TAILS = re.compile(r"[A-Za-z]{6}([A-Za-z]+)")
_PER_TAIL_LETTER = 0.18  # long words are several tokens


@functools.cache
def _pieces() -> tuple[tuple[re.Pattern[str], float], ...]:
    """Compiled when first used: wide character classes take long, and few runs estimate."""
    return tuple((re.compile(pattern), weight) for pattern, weight in _PIECES)


def _rule(text: str) -> int:
    """Weights fitted by least squares to the o200k vocabulary over prose, code, JSON and lorem."""
    tokens = sum(weight * len(pattern.findall(text)) for pattern, weight in _pieces())
    tails = sum(map(len, _TAILS.findall(text)))
    return max(1, round(tokens + _PER_TAIL_LETTER * tails))


# ---- tiktoken with local ranks ------------------------------------------------------------------


@dataclass(frozen=True)
class _Vocabulary:
    """One published vocabulary.

    Attributes:
        file: Name of its rank file in a tiktoken cache (the SHA-1 of its address).
        sha256: Of the file: any other content would count wrongly.
        pattern: How text is split before merging.
    """

    file: str
    sha256: str
    pattern: str


_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_DEFAULT = "o200k_base"
_VOCABULARIES = {
    "o200k_base": _Vocabulary(
        file="fb374d419588a4632f3f557e76b4b70aebbca790",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_ENDINGS}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_ENDINGS}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "cl100k_base": _Vocabulary(
        file="9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


@functools.lru_cache(maxsize=256)
def _vocabulary(model: str | None) -> str:
    """Name of the model's vocabulary, or of a current one where tiktoken does not know it."""
    if model is None or importlib.util.find_spec("tiktoken") is None:
        return _DEFAULT
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(model)
    except KeyError:
        return _DEFAULT


@functools.cache
def _encoding(name: str) -> tiktoken.Encoding | None:
    """The vocabulary with ranks of this machine; None without tiktoken or without them."""
    vocabulary = _VOCABULARIES.get(name)
    if vocabulary is None or importlib.util.find_spec("tiktoken") is None:
        return None
    data = _ranks(vocabulary)
    if data is None:
        return None
    import tiktoken

    # Built here rather than by tiktoken.get_encoding, which deletes a file that does not match its
    # hash, fetches it again without a time limit, and reads its directory from the environment.
    pairs = (line.split() for line in data.splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return tiktoken.Encoding(
        name, pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={}
    )


def _ranks(vocabulary: _Vocabulary) -> bytes | None:
    for directory in _rank_directories():
        try:
            data = (directory / vocabulary.file).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data).hexdigest() == vocabulary.sha256:
            return data
    return None


def _rank_directories() -> Iterator[Path]:
    """Where rank files lie: tiktoken's own cache, and those that two frameworks ship."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if directory := os.environ.get(variable):
            yield Path(directory)
    import tempfile  # only where ranks are looked for

    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    shipped = {
        "llama_index": ("core", "_static", "tiktoken_cache"),
        "litellm": ("litellm_core_utils", "tokenizers"),
    }
    for package, parts in shipped.items():
        try:
            spec = importlib.util.find_spec(package)  # a top-level name: found without an import
        except ValueError:  # a stand-in module without a spec
            continue
        for root in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(root, *parts)
