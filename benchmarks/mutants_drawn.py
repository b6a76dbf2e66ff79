"""Random edits of Python code, drawn with equal chances over every place where one can be made.

    comparison           < and <=, > and >=, == and !=, in and not in, is and is not change places
    and/or               change places
    first operand alone  the others of an `and` or `or` are left out
    not                  is left out
    operator             + and -, * and +, /, //, %, ** and *, << and >>, & and |, ^ and &
    number               a whole number grows by one
    truth                True and False change places
    condition True       of an `if`, always; `condition False`, never
    statement removed    a raise, a call, a continue, an augmented assignment
    returns nothing      None in place of a value

Not changed are texts, and with them what is put into an f-string, annotations, docstrings, decorators, imports and what
a `__repr__` says. Nor is what hardly a test can tell: `strict=` of `zip`, which guards us against ourselves,
`assert_never`, where mypy proves that nothing comes, the -1 of a shape, where NumPy takes any negative number, and None
in place of False, which callers ask for its truth alone and which `truth` changes anyway.
"""

from __future__ import annotations

import ast
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

SCOPE = (
    "crypto/**/*.py",
    "transport/*.py",
    "parties/**/*.py",
    "secure_gal/protocol/*.py",
    "secure_gal/protection/**/*.py",
    "secure_gal/holdings/budget.py",
    "secure_gal/holdings/encrypted*.py",
    "secure_gal/holdings/feature_maps.py",
    "secure_gal/holdings/privatised.py",
    "secure_gal/holdings/rings.py",
    "secure_gal/holdings/sums.py",
    "secure_gal/labels/*.py",
    "secure_gal/messages/certificate.py",
    "secure_gal/data/align.py",
    "secure_gal/data/ids.py",
    "secure_gal/gal/ensemble.py",
    "secure_gal/effects.py",
    "secure_gal/phases.py",
    "secure_gal/state.py",
)
COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}


@dataclass(frozen=True)
class Edit:
    """`old`, which begins at offset `at` of the file, becomes `new`."""

    what: str
    file: str
    at: int
    old: str
    new: str


def draw(root: Path, count: int, seed: int) -> list[Edit]:
    """`count` different edits; fewer where there are fewer."""
    every = list(_every(root))
    random.Random(seed).shuffle(every)
    return list(islice((edit for edit in every if _compiles(root, edit)), count))


@functools.cache
def _every(root: Path) -> tuple[Edit, ...]:
    return tuple(edit for pattern in SCOPE for path in sorted(root.glob(pattern)) for edit in edits(root, path))


def edits(root: Path, path: Path) -> Iterator[Edit]:
    """Every edit of one file, in the order of its syntax tree."""
    text = path.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node, what, new in _changes(ast.parse(text)):
        assert node.end_lineno is not None and node.end_col_offset is not None
        at, end = offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
        edit = Edit(what, str(path.relative_to(root)), at, text[at:end], new)
        if edit.old != new:
            yield edit


def _compiles(root: Path, edit: Edit) -> bool:
    text = (root / edit.file).read_text()
    try:
        compile(text[: edit.at] + edit.new + text[edit.at + len(edit.old) :], edit.file, "exec")
    except SyntaxError:
        return False
    return True


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """(node, what is done, what stands in its place)."""
    for node in _code(tree):
        match node:
            case ast.Compare(ops=[first, *rest]) if type(first) in COMPARE:
                other = ast.Compare(node.left, [COMPARE[type(first)](), *rest], node.comparators)
                yield node, "comparison", f"({ast.unparse(other)})"
            case ast.BoolOp():
                other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield node, "and/or", f"({ast.unparse(ast.BoolOp(other_op, node.values))})"
                yield node, "first operand alone", f"({ast.unparse(node.values[0])})"
            case ast.UnaryOp(op=ast.Not()):
                yield node, "not", f"({ast.unparse(node.operand)})"
            case ast.BinOp() if type(node.op) in ARITHMETIC and not _textual(node):
                changed = ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
                yield node, "operator", f"({ast.unparse(changed)})"
            case ast.Constant(value=bool()):
                yield node, "truth", repr(not node.value)
            case ast.Constant(value=int() as number):
                yield node, "number", repr(number + 1)
            case ast.If() | ast.IfExp():
                for value in ("True", "False"):
                    yield node.test, f"condition {value}", value
            case ast.Raise() | ast.Expr(value=ast.Call()) | ast.Continue() | ast.AugAssign():
                yield node, "statement removed", "pass"
            case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "False":
                yield node, "returns nothing", "return None"


def _textual(node: ast.BinOp) -> bool:
    """Joined texts and unions of types."""
    inner = [n for n in ast.walk(node) if isinstance(n, ast.JoinedStr | ast.Constant)]
    return any(isinstance(n, ast.JoinedStr) or isinstance(n.value, str) for n in inner)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but annotations, docstrings, decorators, imports for types and representations."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases", "keywords") and not isinstance(
            node, ast.Call
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr):
                continue
            if isinstance(child, ast.FunctionDef) and child.name == "__repr__":
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if _cannot_be_told(node, child):
                continue
            yield child
            yield from _code(child)


def _cannot_be_told(parent: ast.AST, child: ast.AST) -> bool:
    match parent, child:
        case ast.Call(func=ast.Name("zip")), ast.keyword("strict"):
            return True
        case ast.Call(func=ast.Attribute(attr="reshape")), ast.UnaryOp(ast.USub(), ast.Constant(1)):
            return True
        case _, ast.Expr(ast.Call(func=ast.Name("assert_never"))):
            return True
    return False
