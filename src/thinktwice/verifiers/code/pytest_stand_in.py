"""What tests use of pytest, for sandboxes without it.

This file runs inside sandboxes, as text in front of the tests: it imports nothing, and uses of
Python only what small interpreters have.
"""
# pyright: basic
# ruff: noqa: A002, ANN001, ANN202, ANN204, B905, C419, D101, N801, PLW1641


class _Raises:
    def __init__(self, expected, match=None):
        self.expected = expected
        self.match = match
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            raise AssertionError("DID NOT RAISE " + str(self.expected))
        if not isinstance(value, self.expected):
            return False
        if self.match is not None:
            import re

            if not re.search(self.match, str(value)):
                raise AssertionError("the message does not match " + repr(self.match))
        self.value = value
        return True


class _Approx:
    def __init__(self, expected, rel=None, abs=None):
        self.expected = expected
        self.rel = rel
        self.abs = abs

    def __eq__(self, other):
        return self._near(other, self.expected)

    def __ne__(self, other):
        return not self == other

    def _near(self, got, expected):
        if isinstance(expected, dict):
            return got.keys() == expected.keys() and all(
                [self._near(got[key], expected[key]) for key in expected]
            )
        if isinstance(expected, (list, tuple)):
            return len(got) == len(expected) and all(
                [self._near(a, b) for a, b in zip(got, expected)]
            )
        if got == expected:
            return True
        rel = self.rel if self.rel is not None else (1e-6 if self.abs is None else 0.0)
        small = self.abs if self.abs is not None else 1e-12
        wide = rel * (abs(expected))
        away = got - expected
        return (away if away > 0 else -away) <= max(small, wide)


def _fail(reason=""):
    raise AssertionError(reason)


class pytest:
    approx = _Approx
    fail = _fail
    raises = _Raises


approx = _Approx
raises = _Raises
