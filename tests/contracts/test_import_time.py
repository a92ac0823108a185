"""`import thinktwice` stays cheap: it loads nothing heavy, and no framework."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "genai_prices",
    "httpx",
    "langchain_core",
    "llama_index",
    "numpy",
    "openai",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "pydantic",
    "sympy",
    "tiktoken",
}


def modules_loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_heavy():
    assert not modules_loaded_by("import thinktwice") & HEAVY


def test_all_public_names_together_load_nothing_heavy():
    assert not modules_loaded_by("from thinktwice import *") & HEAVY
