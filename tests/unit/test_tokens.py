"""Token estimates, which never touch the network."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice import tokens
from thinktwice.tokens import estimate_tokens, estimate_usage, upper_bound_tokens

PROSE = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while. " * 20
FRAME = 7


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No rank files, wherever this machine may have some."""
    monkeypatch.setattr(tokens, "_rank_directories", lambda: iter([tmp_path]))
    tokens._encoding.cache_clear()
    yield
    tokens._encoding.cache_clear()


def rank_file(folder: Path, monkeypatch: pytest.MonkeyPatch, *, honest: bool) -> Path:
    """A vocabulary of single bytes and the word "the"."""
    entries = [bytes([byte]) for byte in range(256)] + [b"th", b"the"]
    lines = (f"{base64.b64encode(each).decode()} {rank}" for rank, each in enumerate(entries))
    data = "\n".join(lines).encode()
    real = tokens._VOCABULARIES["o200k_base"]
    known = hashlib.sha256(data if honest else b"else").hexdigest()
    fake = tokens._Vocabulary(real.file, known, real.pattern)
    monkeypatch.setitem(tokens._VOCABULARIES, "o200k_base", fake)
    (folder / real.file).write_bytes(data)
    return folder / real.file


def test_an_empty_text_has_no_tokens():
    """And no estimate of one."""
    assert estimate_tokens("") == 0


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (PROSE, 300, 380),  # 360 with a current vocabulary
        ('{"name": "x", "values": [1, 2, 3]}', 14, 26),  # 19
        ("\u4f60\u597d\u4e16\u754c" * 10, 15, 35),  # 20
        ("x", 1, 1),
    ],
)
def test_the_rule_is_near(text: str, low: int, high: int):
    """Within what its documentation says."""
    assert low <= estimate_tokens(text) <= high


def test_local_ranks_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The rank file of the vocabulary, if its content is the right one."""
    rank_file(tmp_path, monkeypatch, honest=True)
    assert estimate_tokens("the") == 1
    assert estimate_tokens("then") == 2
    assert estimate_tokens("the<|endoftext|>") == 14  # a special token is but text here


@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-4-5", "gpt-3.5-turbo", "gpt2"])
def test_every_model_is_counted(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By its own vocabulary where there is one here, else by a current one."""
    rank_file(tmp_path, monkeypatch, honest=True)
    assert estimate_tokens("the", model) == 1


def test_a_rank_file_of_other_content_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It would count wrongly; tiktoken would delete it and download another."""
    file = rank_file(tmp_path, monkeypatch, honest=False)
    assert estimate_tokens(PROSE, "gpt-5") == estimate_tokens(PROSE)
    assert file.exists()


def test_it_works_without_tiktoken(monkeypatch: pytest.MonkeyPatch):
    """By the rule."""
    expected = estimate_tokens(PROSE)
    tokens._encoding.cache_clear()
    tokens._vocabulary.cache_clear()
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda _: None)
    assert estimate_tokens(PROSE, "gpt-5") == expected


def test_directories_are_found_without_importing_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Those of the environment first, then what two frameworks ship."""
    monkeypatch.undo()
    for package in ("llama_index", "litellm"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/first")
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", "")
    found = list(tokens._rank_directories())
    assert found[0] == Path("/first")
    if "llama_index" not in sys.modules:
        assert tmp_path / "llama_index" / "core" / "_static" / "tiktoken_cache" in found
    if "litellm" not in sys.modules:
        assert tmp_path / "litellm" / "litellm_core_utils" / "tokenizers" in found


@given(st.text())
def test_bytes_bound_the_estimate(text: str):
    """No token of a byte-level vocabulary is shorter than a byte."""
    assert upper_bound_tokens(text) == len(text.encode("utf-8", "surrogatepass")) + FRAME


def test_a_lone_surrogate_is_counted():
    """Models return broken text, and a count must not fail on it."""
    assert upper_bound_tokens("\ud800") == 3 + FRAME


def test_estimated_usage_is_flagged():
    """And counts the frame of each message."""
    usage = estimate_usage("hello", "hello", "gpt-5")
    assert usage.source == "estimated"
    assert usage.output_tokens == 1
    assert usage.input_tokens == 1 + FRAME
    two = estimate_usage([("user", "a"), ("user", "a")], None)
    one = estimate_usage([("user", "a")], None)
    assert two.input_tokens == 2 * (one.input_tokens or 0) - 3
    assert two.output_tokens is None
