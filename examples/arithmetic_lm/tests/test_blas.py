from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import os, arithmetic_lm, numpy
assert "OPENBLAS_NUM_THREADS" not in os.environ
assert not {"aiohttp", "langchain_core", "thinktwice"} & set(__import__("sys").modules)
a = numpy.ones((600, 600))
for _ in range(3):
    a @ a
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""


def test_numpy_is_loaded_with_one_thread_and_the_environment_is_left_alone():
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, "-c", CODE], env=clean, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "1"
