"""Addresses on the web."""

from __future__ import annotations

import pytest

from thinktwice.addresses import is_address, without_secrets

KEY = "sk-secret"


@pytest.mark.parametrize(
    "url", ["http://h", "HTTPS://h:1/a?b#c", "http://u:p@h", "http://[::1]:4318", "http://ü.de"]
)
def test_what_is_one(url):
    """With or without a port, a path, a password."""
    assert is_address(url)


@pytest.mark.parametrize(
    "url",
    ["", "h:80", "http://", "http://:80", "ftp://h", "http://[::1", "http://h:99999", "http://h:0"],
)
def test_what_is_none(url):
    """Nobody could be asked there."""
    assert not is_address(url)


def test_a_password_may_be_refused():
    """And an `@` in the path is none."""
    assert not is_address("http://u:p@h", login=False)
    assert is_address("http://h/a@b", login=False)


@pytest.mark.parametrize("space", [" ", "\n", "\t"])
def test_one_with_a_space_in_it_is_none(space):
    """Clients take it apart in different ways."""
    assert not is_address(f"http://h/a{space}b")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://u:{KEY}@h:1/a", "http://h:1/a"),
        (f"u:{KEY}@h:1", "h:1"),
        (f"http://u:{KEY}/{KEY}@h/", "http://h/"),
        (f"http://u:{KEY}#{KEY}?\n@h/", "http://h/"),
        (f"https://h/a?key={KEY}#b", "https://h/a"),
        (f"https://h#{KEY}", "https://h"),
        ("http://h/a", "http://h/a"),
    ],
)
def test_what_is_shown_has_no_secret(url, shown):
    """Also where a password was not encoded, so that it ends an address early."""
    assert without_secrets(url) == shown
