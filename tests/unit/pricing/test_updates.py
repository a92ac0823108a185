"""Fetching a list of prices, from a server of ours."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from thinktwice.errors import UsageError

pytest.importorskip("genai_prices")

from genai_prices import data_snapshot

from tests.unit.pricing.price_lists import LATER, NEW, OLD, published, snapshot
from thinktwice.pricing import saved
from thinktwice.pricing.saved import read_saved, saved_list, saved_path
from thinktwice.pricing.updates import update_prices

BUNDLED = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty cache, and a package with a list of five models."""
    monkeypatch.setattr(saved, "cache_folder", lambda: tmp_path / "deep")
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", snapshot(BUNDLED, NEW))
    saved_list.cache_clear()
    yield tmp_path
    saved_list.cache_clear()


@pytest.fixture
def server():
    """Answers with what it is told to; counts requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            status, body = self.server.reply
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Keep silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = 0
        running.url = f"http://127.0.0.1:{running.server_port}/data.json"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def offer(server, prices, since=NEW):
    server.reply = 200, json.dumps(published(prices, since)).encode()


def test_it_says_what_changes_and_saves_it(server):
    """One request: models of another price, new ones, and those that are gone."""
    offer(server, {"a": 1, "b": 2.5, "c": 3, "f": 6, "e": 5})
    found = update_prices(server.url)
    assert [each.model for each in found.changed] == ["acme/b"]
    assert "2.5" in found.changed[0].after
    assert "2.5" not in found.changed[0].before
    assert (found.added, found.gone) == (("acme/f",), ("acme/d",))
    assert (found.models, found.newest.isoformat(), found.url) == (5, NEW, server.url)
    assert server.asked == 1
    saved = read_saved(saved_path())
    assert (saved.url, saved.at) == (server.url, found.at)
    assert [each.id for each in saved.snapshot.providers[0].models] == ["a", "b", "c", "f", "e"]


def test_the_next_one_is_compared_with_what_is_saved(server):
    """And brings nothing, where nothing has changed."""
    offer(server, {**BUNDLED, "b": 2.5})
    assert update_prices(server.url).changed
    assert not update_prices(server.url).changed


@pytest.mark.parametrize("since", [OLD, LATER])
def test_an_older_one_never_replaces_a_newer_one(server, since):
    """What is to hold in future does not make it newer."""
    offer(server, {**BUNDLED, "b": 2.5}, since)
    with pytest.raises(UsageError, match=r"older.*nothing was saved"):
        update_prices(server.url)
    assert not saved_path().exists()


def test_one_that_lacks_a_part_is_refused(server):
    """It was cut short on its way, or is of something else."""
    offer(server, {"a": 1, "b": 2, "c": 3})
    with pytest.raises(UsageError, match="3 models where the list in use has 5"):
        update_prices(server.url)
    assert not saved_path().exists()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "it answers 404"),
        (200, b"<html>", "no list of genai-prices"),
        (200, b'{"error": 1}', "no list of genai-prices"),
        (200, b'[{"id": 5}]', "no list of genai-prices"),
    ],
)
def test_what_is_no_list_leaves_things_as_they_are(server, status, body, said):
    """With a sentence that says what was there."""
    server.reply = status, body
    with pytest.raises(UsageError, match=said):
        update_prices(server.url)
    assert not saved_path().exists()


def test_nobody_answers():
    """As without a network."""
    with pytest.raises(UsageError, match="does not answer; the list in use stays"):
        update_prices("http://127.0.0.1:9/data.json")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "data.json", "", "http://[::1", "http://u:p@127.0.0.1:9"]
)
def test_only_the_web_is_asked(url):
    """A path is a mistake."""
    with pytest.raises(UsageError, match="https://"):
        update_prices(url)


def test_a_key_in_the_address_is_neither_shown_nor_saved(server):
    """It is sent, and that is all."""
    offer(server, BUNDLED)
    assert "sk-secret" not in update_prices(f"{server.url}?key=sk-secret").url
    assert "sk-secret" not in saved_path().read_text()
    with pytest.raises(UsageError) as error:
        update_prices("http://127.0.0.1:9/data.json?key=sk-secret")
    assert "sk-secret" not in str(error.value)


def test_a_folder_that_cannot_be_written(server, folder):
    """Is named, and nothing is left behind."""
    (folder / "deep").write_text("a file")
    offer(server, BUNDLED)
    with pytest.raises(UsageError, match="cannot be written"):
        update_prices(server.url)
