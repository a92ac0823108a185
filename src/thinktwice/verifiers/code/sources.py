"""Reading tests that are written as Python: asserts, a pytest file, or a HumanEval `check`."""

from __future__ import annotations

import ast
import itertools
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Final, cast

from thinktwice.errors import UsageError
from thinktwice.sandbox.protocol import Case
from thinktwice.verifiers.code.asserts import called_in, value_of
from thinktwice.verifiers.code.bodies import body_of
from thinktwice.verifiers.code.case import CodeTest, Suite
from thinktwice.verifiers.code.expectation import Expectation
from thinktwice.verifiers.code.imports import without_program_imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thinktwice.verifiers.code.bodies import Names

_SUPPORTED: Final = frozenset({"approx", "fail", "mark", "raises"})
_FAILS: Final = frozenset({"fail", "raises"})
_CHECK: Final = "check"
_NO_FIXTURES: Final = "write test functions without fixtures: literals by parametrize are known"
_Function = ast.FunctionDef
_BINDS: Final = (ast.Assign, ast.AnnAssign, ast.AugAssign)


def suite_in(text: str, *, entry_point: str | None = None) -> Suite:
    """Read tests that are written as Python.

    Args:
        text: Lines of `assert`, a file of `test_...` functions, or HumanEval's `check(candidate)`.
        entry_point: What `candidate` stands for in a `check`; any tests must use it.

    Raises:
        UsageError: It is not Python, asserts nothing, never uses the entry point, or uses more of
            pytest than `raises`, `approx`, `fail` and `mark.parametrize` with literals.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError("tests", text, "it is not Python: mend its syntax") from error
    reader = _File(entry_point)
    for statement in without_program_imports(tree).body:
        reader.read(statement)
    reader.close()
    if not reader.asserts():
        remedy = "write asserts that call the program, in lines or in functions named test_..."
        raise UsageError("tests", text, remedy)
    if entry_point is not None and not reader.uses(entry_point):
        raise UsageError("entry_point", entry_point, "the tests never use it: name what they call")
    return Suite(tests=tuple(reader.tests), support=reader.source())


@dataclass
class _File:
    entry_point: str | None
    tests: list[CodeTest] = field(default_factory=list[CodeTest])
    loose: list[ast.stmt] = field(default_factory=list[ast.stmt])
    support: list[ast.stmt] = field(default_factory=list[ast.stmt])
    inside: list[ast.stmt] = field(default_factory=list[ast.stmt])

    def read(self, statement: ast.stmt) -> None:
        """Sort one statement of the file."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self.imported(statement)
            case ast.FunctionDef() if _is_test(statement) or statement.name == _CHECK:
                self.function(statement)
            case ast.ClassDef() if statement.name.startswith("Test"):
                self.methods(statement)
            case ast.AsyncFunctionDef() if statement.name.startswith("test"):
                raise UsageError("tests", statement.name, "write test functions that are not async")
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                self.support.append(statement)
            case ast.If() if ast.unparse(statement.test) == "__name__ == '__main__'":
                pass
            case ast.Expr(ast.Call(ast.Name("check"))):
                pass
            case _:
                self.support += [statement] * isinstance(statement, _BINDS)
                self.loose.append(statement)

    def imported(self, statement: ast.Import | ast.ImportFrom) -> None:
        names = [each.name for each in statement.names]
        module = statement.module or "" if isinstance(statement, ast.ImportFrom) else names[0]
        if module.partition(".")[0] == "pytest":
            _check_pytest(statement, names)
            return
        known = module.partition(".")[0] in sys.stdlib_module_names
        self.support.append(statement if known else _tried(statement))

    def function(self, function: _Function) -> None:
        """A test function, once for each set of its parameters."""
        taken = [each.arg for each in function.args.args]
        for names in _parameters(function):
            if function.name == _CHECK and len(taken) == 1:
                names[taken[0]] = ast.Name(self._candidate(), ast.Load())
            if set(taken) - set(names):
                raise UsageError("tests", function.name, _NO_FIXTURES)
            self.body(function.body, names, function.name)

    def methods(self, group: ast.ClassDef) -> None:
        """Test functions in a class, as long as it only groups them."""
        for each in group.body:
            uses = any(isinstance(n, ast.Name) and n.id == "self" for n in ast.walk(each))
            if isinstance(each, ast.FunctionDef) and _is_test(each) and not (uses or group.bases):
                each.args.args = each.args.args[1:]
                self.function(each)
            elif not isinstance(each, ast.Expr | ast.Pass):
                raise UsageError("tests", group.name, "write test functions without self")

    def close(self) -> None:
        """What stood outside of functions."""
        calls = [ast.parse(test.case.expression or "") for test in self.tests]
        self.support = _needed(self.support, [*self.inside, *calls])
        if self.loose:
            self.body(self.loose, {}, "tests")

    def body(self, statements: Sequence[ast.stmt], names: Names, name: str) -> None:
        body = body_of(statements, names)
        self.tests += [
            CodeTest(case=Case(each.expression), expected=each.expected) for each in body.readings
        ]
        if body.rest:
            made = f"__{name}_{len(self.inside)}"
            self.inside.append(_defined(made, body.rest))
            source = "\n".join(map(ast.unparse, body.rest))
            expected = Expectation(operator="ok")
            self.tests.append(CodeTest(case=Case(f"{made}()"), expected=expected, source=source))

    def asserts(self) -> bool:
        """Whether a program could fail by what it gives, and not only by raising."""
        read = _names(ast.Load, *self.inside, *self.support)
        helpers = [each for each in self.support if getattr(each, "name", None) in read]
        taken_out = any(not test.source for test in self.tests)
        return taken_out or any(map(_asserts, [*self.inside, *helpers]))

    def uses(self, name: str) -> bool:
        calls = [ast.parse(test.case.expression or "") for test in self.tests]
        trees = [*self.inside, *self.support, *calls]
        nodes = (node for tree in trees for node in ast.walk(tree))
        methods = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        return {*name.split(".")} <= methods | _names(ast.Load, *trees)

    def source(self) -> str:
        """What stands behind the program."""
        written = "\n".join(map(ast.unparse, [*self.support, *self.inside]))
        used = any(word in written for word in ("approx", "pytest", "raises"))
        return f"{_stand_in()}\n{written}" if used else written

    def _candidate(self) -> str:
        if self.entry_point is None:
            raise UsageError("entry_point", None, "name the function that check(candidate) is for")
        return self.entry_point


def _is_test(statement: ast.FunctionDef) -> bool:
    return statement.name.startswith("test")


def _asserts(statement: ast.stmt) -> bool:
    """It holds an assert of more than literals, or raises by itself what a test fails with."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Assert):
            parts = ast.walk(node.test)
            if any(isinstance(each, ast.Name | ast.Call) for each in parts):
                return True
    return any(name in _FAILS or name.startswith("assert") for name in called_in(statement))


def _needed(support: Sequence[ast.stmt], run: Sequence[ast.AST]) -> list[ast.stmt]:
    """Without variables that nothing reads there: they may hold what a program must not see."""
    kept: list[ast.stmt] = []
    read = _names(ast.Load, *run, *(each for each in support if not isinstance(each, _BINDS)))
    for statement in reversed(support):
        if not isinstance(statement, _BINDS) or _names(ast.Store, statement) & read:
            kept.append(statement)
            read |= _names(ast.Load, statement)
    return kept[::-1]


def _names(context: type[ast.expr_context], *statements: ast.AST) -> set[str]:
    nodes = (node for statement in statements for node in ast.walk(statement))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _tried(statement: ast.stmt) -> ast.stmt:
    """An import that may be that of the program, which is there under its names already."""
    handler = ast.ExceptHandler(ast.Name("ImportError", ast.Load()), None, [ast.Pass()])
    return ast.Try([statement], [handler], [], [])


def _defined(name: str, body: Sequence[ast.stmt]) -> ast.stmt:
    function = ast.parse(f"def {name}(): pass").body[0]
    cast("_Function", function).body = list(body)
    return function


def _check_pytest(statement: ast.stmt, names: Sequence[str]) -> None:
    aliased = " as " in ast.unparse(statement)
    if aliased or (isinstance(statement, ast.ImportFrom) and not set(names) <= _SUPPORTED):
        remedy = (
            "of pytest only raises, approx, fail and mark.parametrize are known, by their names"
        )
        raise UsageError("tests", ast.unparse(statement), remedy)


def _parameters(function: _Function) -> Iterator[Names]:
    """Literals by parameter, for each run of a test."""
    for each in itertools.product(*map(_parametrized, function.decorator_list)):
        yield {name: value for names in each for name, value in names.items()}


def _parametrized(decorator: ast.expr) -> list[Names]:
    """The rows of one `parametrize`."""
    match decorator:
        case ast.Call(ast.Attribute(attr="parametrize"), [names, ast.List(rows) | ast.Tuple(rows)]):
            with suppress(ValueError, TypeError, AttributeError):
                told = value_of(names)
                split = told.split(",") if isinstance(told, str) else cast("list[str]", told)
                return [_row([name.strip() for name in split], row) for row in rows]
        case _:
            pass
    raise UsageError("tests", ast.unparse(decorator), _NO_FIXTURES)


def _row(names: Sequence[str], row: ast.expr) -> Names:
    value_of(row)  # a literal, or nothing can be put in its place
    if len(names) == 1:
        return {names[0]: row}
    return dict(zip(names, cast("ast.Tuple", row).elts, strict=True))


def _stand_in() -> str:
    folder = resources.files("thinktwice.verifiers.code")
    return folder.joinpath("pytest_stand_in.py").read_text(encoding="utf-8")
