"""Loads NumPy with one BLAS thread; imported before anything else of the package.

The matrices here are small. A second thread makes a step no faster on a free machine and several
times slower on a busy one, where the threads spin while they wait for each other. OpenBLAS reads
its setting once, when NumPy is loaded, so this has no effect on a process that has loaded NumPy
before, and the environment is left as it was found.
"""

from __future__ import annotations

import importlib
import os

_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def load_numpy() -> None:
    """Import NumPy, with one BLAS thread unless the environment asks for another number."""
    if any(name in os.environ for name in _SETTINGS):
        importlib.import_module("numpy")
        return
    os.environ.update(dict.fromkeys(_SETTINGS, "1"))
    try:
        importlib.import_module("numpy")
    finally:
        for name in _SETTINGS:
            del os.environ[name]


load_numpy()
