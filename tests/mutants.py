"""Small changes to a right answer that make it wrong: `<` for `<=`, a dropped term, another axis, ± 1."""

import ast
import copy
from collections.abc import Iterator

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
PAIRS = (
    "min max", "sum mean", "any all", "floor ceil", "first last", "minimum maximum", "idxmin idxmax", "argmin argmax",
    "union intersection", "isna notna", "isnull notnull", "ffill bfill", "head tail", "cummax cummin", "std var",
)  # fmt: skip
NAMES = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that may stand where `node` stands to make the code wrong."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
        yield _with(node, op=SWAPS[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=SWAPS[type(node.op)]())
        yield from node.values
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield _with(node, ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _with(node, attr=NAMES[node.attr])
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield ast.Name(NAMES[node.id], ast.Load())


def _with(node, **fields):
    node = copy.copy(node)
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def mutants(code: str) -> Iterator[str]:
    """`code` with one change each; annotations and docstrings are left alone."""
    seen = {ast.unparse(ast.parse(code))}
    for place, _ in enumerate(_places(ast.parse(code))):
        for which, _ in enumerate(changes(_get(_places(ast.parse(code))[place]))):
            tree = ast.parse(code)
            spot = _places(tree)[place]
            _put(spot, list(changes(_get(spot)))[which])
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text not in seen:
                seen.add(text)
                yield text


def _places(tree: ast.AST) -> list[tuple]:
    spots = []
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            many = value if isinstance(value, list) else [value]
            spots += [
                (parent, field, i if isinstance(value, list) else None)
                for i, v in enumerate(many)
                if isinstance(v, ast.AST)
            ]
    return spots


def _get(spot):
    parent, field, index = spot
    return getattr(parent, field) if index is None else getattr(parent, field)[index]


def _put(spot, node):
    parent, field, index = spot
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node
