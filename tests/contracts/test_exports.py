"""The public names of the core."""

from __future__ import annotations

import importlib
import inspect

import pytest

import thinktwice

MOST_NAMES = 40


def test_all_is_sorted_and_short():
    assert list(thinktwice.__all__) == sorted(thinktwice.__all__)
    assert len(set(thinktwice.__all__)) == len(thinktwice.__all__) <= MOST_NAMES


def test_dir_shows_what_can_be_imported():
    public = {name for name in dir(thinktwice) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(thinktwice, name))}
    assert public - modules <= set(thinktwice.__all__)
    assert set(thinktwice.__all__) <= set(dir(thinktwice))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = thinktwice.no_such_name


@pytest.mark.parametrize("name", thinktwice.__all__)
def test_public_name_is_documented_and_says_where_it_lives(name: str):
    value = getattr(thinktwice, name)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    assert inspect.getdoc(value), f"{name} has no docstring"
    assert not inspect.isclass(value) or value.__doc__, f"{name} only inherits a docstring"
    module = value.__module__
    assert module.split(".")[0] == "thinktwice"
    assert getattr(importlib.import_module(module), value.__qualname__) is value
