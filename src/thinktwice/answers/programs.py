"""Finding the program in an answer.

An answer may be code and nothing else, or code in fences among prose, with examples of its use and
of its output. One block is taken, and blocks are never joined: which one, `program_in` says.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from thinktwice.answers.shapes import from_model, plain_of, text_in, unwrap
from thinktwice.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = 100_000
"""Characters of a program; what is longer is not taken for one, since reading it takes long."""

_PYTHON: Final = frozenset({"ipython", "ipython3", "py", "py3", "python", "python3"})
_FENCE: Final = re.compile(r"^[ \t]*(?:>[ \t]*)?(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*$", re.MULTILINE)
_UNWANTED: Final = dict.fromkeys(
    [code for code in range(32) if chr(code) not in "\t\n\f"] + [0x7F, 0xFEFF, 0x200B]
)
_STARTS: Final = re.compile(
    r"^(?:async def |class |def |from \S+ import |import |@\w)", re.MULTILINE
)
_END: Final = re.compile(r"(?:<\|\w{1,40}\|>|</s>)\s*\Z")
"""What chat templates put behind an answer, where a server does not take it off."""

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_TRIES: Final = 20


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        tag: Its language, in lower case; empty without one.
        text: What stands between the fences, up to the end if they are not closed.
    """

    tag: str
    text: str


def program_in(value: object, *, entry_point: str | None = None, header: str = "") -> str | None:
    """The program of an answer; None where there is none.

    Of several fenced blocks it is the last that defines the entry point; without one that does, the
    last that defines a function or class; else the last that is Python. Blocks tagged as Python go
    before those without a tag, and other languages do not count. Without fences the whole answer
    is the program if it is Python, else what begins with a definition or an import and parses.

    Of data (a mapping, a pydantic model, a dataclass) each field that is a text is read like an
    answer, and of their programs the best is taken, as of blocks. A value without a text holds no
    program.

    Args:
        value: What a sampler returned: a text, a message, a completion, or data.
        entry_point: Name of the function or class that tests call.
        header: What stood before the place where the model went on, as in HumanEval: signature and
            docstring. The program is then the header and the answer, as it is. If the answer
            defines the entry point itself, it is the answer with the imports of the header. Data
            goes on with nothing.
    """
    texts = [*_text(value), *(() if header else _fields(value))]
    found = [_program(text, entry_point, header) for text in texts if text.strip()]
    return _best((each for each in found if each is not None), entry_point)


def _text(value: object) -> list[str]:
    try:
        return [text_in(value) or ""]
    except UsageError:  # its type holds none
        return []


def _fields(value: object) -> list[str]:
    """The texts that stand in data; in a message they say who wrote it, and the like."""
    while (inner := unwrap(value)) is not value:
        value = inner
    if text_in.dispatch(type(value)) is not text_in.dispatch(object) or from_model(value):
        return []
    data = plain_of(value)
    held = cast("Mapping[object, object]", data).values() if isinstance(data, Mapping) else ()
    return [each for each in held if isinstance(each, str)]


def _program(text: str, entry_point: str | None, header: str) -> str | None:
    text = _END.sub("", cleaned(text))
    found = _block(blocks(text), entry_point)
    if header:
        found = _continued(header, text if found is None else found, entry_point)
    elif found is None:
        found = _bare(text)
    return found if found is not None and len(found) <= LONGEST else None


def cleaned(text: str) -> str:
    """A text without control characters, zero-width marks and other line ends than a newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_UNWANTED)
    return text.encode("utf-8", "replace").decode()


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a text; one that is not closed ends with it."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            found.append(_between(text, opened, fence.start()))
            opened = None
    if opened is not None:  # never closed, or behind the last of its lines
        ended = text.rstrip()
        end = len(ended.removesuffix(opened[1]) if ended.endswith(opened[1]) else text)
        found.append(_between(text, opened, max(end, opened.end() + 1)))
    return found


def _between(text: str, opened: re.Match[str], end: int) -> Block:
    """The block behind an opening fence, moved to the left by as much as its fence stands in."""
    inside = text[opened.end() + 1 : end]
    margin = text[opened.start() : opened.start(1)]
    if margin:
        inside = re.sub(f"^{re.escape(margin)}", "", inside, flags=re.MULTILINE)
    return Block(opened[2].strip("{}.").lower(), inside)


def parsed(program: str) -> ast.Module | None:
    """Its syntax tree; None if it has none, or is too long or too deep for us to read."""
    if len(program) > LONGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in the candidate's strings
        try:
            return ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def defined_in(tree: ast.Module) -> set[str]:
    """Names of the functions, classes and variables at the top of a module."""
    names = {node.name for node in tree.body if isinstance(node, _DEFINITIONS)}
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def _block(found: list[Block], entry_point: str | None) -> str | None:
    some = [block for block in found if block.text.strip()]
    tagged = [block.text for block in some if block.tag in _PYTHON]
    plain = [block.text for block in some if not block.tag]
    return _best(tagged, entry_point) or _best(filter(_is_code, plain), entry_point)


def _best(texts: Iterable[str], entry_point: str | None) -> str | None:
    """The last of the best kind; what does not parse is the worst, and taken if nothing else is."""
    kept = list(texts)
    if len(kept) < 2:  # noqa: PLR2004 - nothing to choose from
        return kept[0] if kept else None
    ranks = [_rank(text, entry_point) for text in kept]
    return kept[max(range(len(kept)), key=lambda i: (ranks[i], i))]


def _rank(text: str, entry_point: str | None) -> int:
    tree = parsed(text)
    if tree is None:
        return 0
    if entry_point in defined_in(tree):
        return 3
    return 2 if any(isinstance(node, _DEFINITIONS) for node in tree.body) else 1


def _is_code(text: str) -> bool:
    """More than a word or a number, which are Python too: it does something."""
    tree = parsed(text)
    if tree is None:
        return bool(_STARTS.search(text))
    return any(not isinstance(n, ast.Expr) or isinstance(n.value, ast.Call) for n in tree.body)


def _bare(text: str) -> str | None:
    """Code without fences: all of the text, or what is left of it when prose is cut off."""
    if parsed(text) is not None:
        return text if _is_code(text) else None
    start = _STARTS.search(text)
    if start is None:
        return None
    whole = text[start.start() :]
    lines = whole[:LONGEST].split("\n")
    for _ in range(_TRIES):  # each error names a line that cannot belong to the program
        wrong = _first_error("\n".join(lines))
        if wrong is None:
            return "\n".join(lines)
        lines = lines[: min(wrong, len(lines)) - 1]
        if not lines:
            break
    return whole  # a program with a mistake in it: running it says which


def _first_error(program: str) -> int | None:
    """The line of the first syntax error, from 1; None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def _continued(header: str, answer: str, entry_point: str | None) -> str:
    """A header and what the model wrote behind it."""
    tree = parsed(answer)
    if tree is None or entry_point is None or entry_point not in defined_in(tree):
        return f"{header}{answer}"
    above = parsed(header)
    imports = [n for n in above.body if isinstance(n, ast.Import | ast.ImportFrom)] if above else []
    return "\n".join([*map(ast.unparse, imports), answer])
