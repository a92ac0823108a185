"""Finding the program in an answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.answers.programs import LONGEST, blocks, cleaned, program_in
from thinktwice.sample import Completion

DOUBLE = "def double(x):\n    return 2 * x\n"
FENCED = f"```python\n{DOUBLE}```"
HEADER = 'from typing import List\n\n\ndef first(xs: List[int]) -> int:\n    """First."""\n'


@pytest.mark.parametrize(
    "answer",
    [
        FENCED,
        f"Here you are:\n\n{FENCED}\n\nIt doubles.",
        FENCED.replace("```", "~~~"),
        FENCED.replace("```", "`````"),
        FENCED.replace("python", "py"),
        FENCED.replace("python", "Python3"),
        FENCED.replace("python", "{.python}"),
        FENCED.replace("python", 'python title="a.py"'),
        FENCED.replace("python", ""),
        FENCED.replace("\n", "\r\n"),
        f"```python\n{DOUBLE}",
        f"```python\n\0{DOUBLE}\x07```",
        f"\ufeff{FENCED}",
        SimpleNamespace(content=FENCED),
        {"messages": [{"role": "assistant", "content": FENCED}]},
    ],
    ids=repr,
)
def test_a_fenced_block_is_the_program(answer):
    """Whatever the fence, its tag, its line ends and what wraps the answer."""
    assert program_in(answer) == DOUBLE


def test_a_fence_behind_the_last_line_closes_the_block():
    """As hurried models write it."""
    assert program_in(f"```python\n{DOUBLE.rstrip()}```\n") == DOUBLE.rstrip()


def test_an_indented_block_moves_to_the_left():
    """As in a list."""
    answer = "1. So:\n   ```python\n   def f():\n       return 1\n   ```"
    assert program_in(answer) == "def f():\n    return 1\n"


class TestWhichBlock:
    """Of several."""

    def test_the_last_that_defines_the_entry_point(self):
        """Neither a draft before it nor an example of its use behind it."""
        draft = "```python\ndef double(x):\n    return x + x + 1\n```"
        use = "```python\nprint(double(3))\n```"
        answer = f"{draft}\nBetter:\n{FENCED}\nUse it so:\n{use}\nwhich prints\n```\n6\n```"
        assert program_in(answer, entry_point="double") == DOUBLE

    def test_the_last_that_defines_something_without_an_entry_point(self):
        """An example of its use defines nothing."""
        assert program_in(f"{FENCED}\n```python\nprint(double(3))\n```") == DOUBLE

    def test_a_class_or_a_variable_is_an_entry_point(self):
        """A solution may be a class, or a lambda that is given a name."""
        answer = "```python\nf = lambda x: x\n```\n```python\nclass A:\n    pass\n```"
        assert program_in(answer, entry_point="f") == "f = lambda x: x\n"
        assert program_in(answer, entry_point="A") == "class A:\n    pass\n"

    @pytest.mark.parametrize("tag", ["bash", "json", "output", "javascript"])
    def test_other_languages_do_not_count(self, tag):
        """Even behind the program."""
        assert program_in(f"{FENCED}\n```{tag}\nx = 1\n```") == DOUBLE
        assert program_in(f"```{tag}\nx = 1\n```") is None

    def test_a_tag_goes_before_none(self):
        """An untagged block is often an output."""
        assert program_in(f"{FENCED}\n```\ndouble = 3\n```") == DOUBLE

    def test_one_that_does_not_parse_goes_behind_one_that_does(self):
        """But it is the program if there is no other."""
        broken = "```python\ndef double(x:\n```"
        assert program_in(f"{FENCED}\n{broken}", entry_point="double") == DOUBLE
        assert program_in(broken) == "def double(x:\n"

    def test_empty_blocks_do_not_count(self):
        """There is nothing in them."""
        assert program_in(f"{FENCED}\n```python\n\n```") == DOUBLE


class TestBareCode:
    """Without fences."""

    @pytest.mark.parametrize("code", [DOUBLE, "print(int(input()) + 1)", "x = 1\nprint(x)\n"])
    def test_all_of_it(self, code):
        """If it is Python and does something."""
        assert program_in(code) == code

    def test_prose_is_cut_off(self):
        """Before and behind, from the first line that is no Python."""
        answer = f"Sure! This is it:\n\n{DOUBLE}\nIt's what you wanted, isn't it?\nBye."
        assert program_in(answer) == DOUBLE

    @pytest.mark.parametrize("mark", ["<|im_end|>", "</s>\n", "<|endoftext|> "])
    def test_marks_of_a_chat_template_are_cut_off(self, mark):
        """Which some servers leave behind the answer."""
        assert program_in(DOUBLE.rstrip() + mark) == DOUBLE.rstrip()
        assert program_in(f"<|im_start|>assistant\n{DOUBLE}{mark}") == DOUBLE

    def test_a_program_with_a_mistake_is_a_program(self):
        """Running it says where the mistake is."""
        assert program_in("def f(:") == "def f(:"

    @pytest.mark.parametrize("answer", ["", " \n", "Paris", "42", "I do not know.", None, "a, b"])
    def test_words_and_numbers_are_no_program(self, answer):
        """Though some of them are Python."""
        assert program_in(answer) is None


class TestHeader:
    """An answer that goes on where a header stops."""

    def test_the_body_is_put_behind_it(self):
        """As it is: its indentation counts."""
        assert program_in("    return xs[0]\n", header=HEADER) == f"{HEADER}    return xs[0]\n"

    def test_a_whole_function_stands_alone_with_the_imports(self):
        """A chat model writes the signature again, but no imports."""
        whole = "def first(xs: List[int]) -> int:\n    return xs[0]\n"
        found = program_in(f"```python\n{whole}```", header=HEADER, entry_point="first")
        assert found == f"from typing import List\n{whole}"

    def test_a_body_in_a_fence(self):
        """The same."""
        fenced = "```python\n    return xs[0]\n```"
        assert program_in(fenced, header=HEADER, entry_point="first").endswith("return xs[0]\n")


def test_what_is_too_long_is_no_program():
    """Reading it would take long."""
    assert program_in("x = 1\n" * LONGEST) is None


@pytest.mark.parametrize("value", [3.5, b"def f(): ...", [FENCED], {"n": 3}, object()])
def test_a_value_without_a_text_has_no_program(value):
    """There is nothing to read."""
    assert program_in(value) is None


class TestData:
    """Programs in the fields of structured output."""

    @dataclass
    class Answer:
        code: str
        text: str = "It returns `2 * x`."

    def test_any_field_may_hold_it(self):
        """Bare or in a fence; the one that is called goes before others."""
        assert program_in({"code": DOUBLE, "note": "x = 1"}) == DOUBLE
        assert program_in(self.Answer(code=FENCED), entry_point="double") == DOUBLE
        both = {"code": DOUBLE, "usage": "def usage():\n    return double(2)\n"}
        assert program_in(both, entry_point="double") == DOUBLE

    def test_a_wrapping_is_taken_off(self):
        """As everywhere."""
        assert program_in(Completion(value={"code": DOUBLE})) == DOUBLE
        assert program_in(Completion(value=None, text=FENCED)) == DOUBLE
        raw = {"raw": None, "parsed": {"code": DOUBLE}, "parsing_error": None}
        assert program_in(raw) == DOUBLE

    def test_a_message_is_its_content(self):
        """Its other fields are not what the model said."""
        message = {"role": "assistant", "content": "I cannot.", "name": DOUBLE}
        assert program_in(message) is None

    def test_a_header_goes_on_with_a_text_alone(self):
        """No field is known to be where it goes on."""
        assert program_in({"code": "    return xs[0]"}, header=HEADER) is None


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "`" * 10**6,
        "```\n" * 250_000,
        "(" * 10**6,
        "def f(\n" * 140_000,
        "import a\n" * 110_000,
        "```python\n" + "(" * 90_000,
        "```python\n" + "-" * 90_000 + "1\n```\n```python\nx = 1\n```",
        "from a import\n" * 70_000,
        "~~~`\n" * 200_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_megabyte_of_anything_is_read_at_once(text):
    """No pattern backtracks, and no parser is given more than it can take."""
    began = time.process_time()
    program_in(text, entry_point="f")
    assert time.process_time() - began < 2


@given(st.text())
def test_no_text_breaks_it(text):
    """What it finds, it finds again in a fence."""
    found = program_in(text)
    assert found is None or found in cleaned(text)


@given(st.text(alphabet="ab \n"), st.sampled_from(["```", "~~~~"]))
def test_a_block_is_what_was_put_in(text, fence):
    """With its tag."""
    assert blocks(f"{fence}Py\n{text}\n{fence}") == [("py", f"{text}\n")]
