"""Paths of fields."""

from __future__ import annotations

import pytest

from thinktwice import UsageError
from thinktwice.answers.paths import Coupling, Name, check_paths, coupling_of


def named(*keys):
    name = Name()
    for key in keys:
        name = name.of(key, position=isinstance(key, int))
    return name


class TestName:
    """What a field is called."""

    def test_names_and_positions(self):
        """A pattern leaves positions open."""
        assert named("items", 0, "price") == ("items[0].price", "items[].price")
        assert named(3, "a") == ("[3].a", "[].a")
        assert named() == ("", "")

    def test_keys_that_are_no_words(self):
        """They are quoted, so that two fields never share a path."""
        assert named("a.b").path == '["a.b"]'
        assert named("a", "b").path == "a.b"
        assert named("x", 'say "hi"').path == 'x["say \\"hi\\""]'
        assert named("x", "").path == 'x[""]'
        assert Name("x", "x").of(1, position=False).path == "x[1]"
        assert Name("x", "x").of("1", position=False).path == "x.1"

    def test_is_in(self):
        """By its path, or by a pattern."""
        price = named("items", 0, "price")
        assert price.is_in(["total", "items[0].price"])
        assert price.is_in(["items[].price"])
        assert not price.is_in(["items[1].price", "items", "price"])


class TestCheckPaths:
    """What is no path is refused."""

    @pytest.mark.parametrize("path", ["a", "a.b", "items[].price", "[].a", 'x["a.b"].c', "m[][2]"])
    def test_a_path(self, path):
        """Names, positions, all positions, quoted keys."""
        assert check_paths("ignore", (path,)) == (path,)

    @pytest.mark.parametrize(
        "paths", ["a", ("",), ("a..b",), ("a[x]",), ("a[",), (3,), None, {"a"}]
    )
    def test_no_path(self, paths):
        """Nor a bare text, which would be taken for its letters."""
        with pytest.raises(UsageError, match="give a tuple of paths"):
            check_paths("ignore", paths)


class TestCoupling:
    """Which object holds coupled fields."""

    @pytest.mark.parametrize(
        ("group", "pattern", "members"),
        [
            (("a", "b"), "", (("a",), ("b",))),
            (("address.street", "address.city"), "address", (("street",), ("city",))),
            (("address.city", "country"), "", (("address", "city"), ("country",))),
            (("items[].price", "items[].tax.rate"), "items[]", (("price",), ("tax", "rate"))),
            (("items[0].a", "items[1].a"), "items", ((0, "a"), (1, "a"))),
            (('x["a.b"]', "x.c"), "x", (("a.b",), ("c",))),
            (("address",), "", (("address",),)),
        ],
    )
    def test_the_innermost(self, group, pattern, members):
        """That has all of them."""
        assert coupling_of(group) == Coupling(pattern, members)

    @pytest.mark.parametrize(
        "group", [(), ("items[].price", "total"), ("a[].x", "b[].x"), ("tags[]",)]
    )
    def test_not_across_lists(self, group):
        """Which price goes with the total?"""
        with pytest.raises(UsageError, match="couple fields of one object"):
            coupling_of(group)
