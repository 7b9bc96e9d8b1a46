"""The faults of a Python file: small ones that compile and that a tired engineer makes.

Positions come from `ast`, the new text is put into the old, so a fault is one line of a diff.
"""

from __future__ import annotations

import ast
import re

from tests.mutants.change import Change

TURNED = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">="),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<="),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
OTHER_CALL = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
# Calls of a value that leave out something where they go.
DROPPED_CALLS = {
    "distinct",
    "desc",
    "asc",
    "strip",
    "lower",
    "upper",
    "date",
    "resolve",
    "model_copy",
    "casefold",
    "rstrip",
}
ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "+"}
# A text with SQL in it; messages say `where` and `from`, too, and `--select`.
SQL = re.compile(
    r"(?<![-\w`])select |\b(order|group|partition) by\b|\bwhere [\w{}.]+ (=|in|is) |\bis (not )?(null|distinct)\b"
    r"|(<|<=|>|>=) (date|timestamp)\b|\) desc\b"
)
SQL_CHANGES = [
    ("comparison", re.compile(r"(?<= )<(?= )"), "<="),
    ("comparison", re.compile(r"(?<= )<=(?= )"), "<"),
    ("comparison", re.compile(r"(?<= )>(?= )"), ">="),
    ("comparison", re.compile(r"(?<= )>=(?= )"), ">"),
    ("comparison", re.compile(r"(?<= )(<>|!=)(?= )"), "="),
    ("comparison", re.compile(r"\bis not null\b"), "is null"),
    ("comparison", re.compile(r"\bis null\b"), "is not null"),
    ("comparison", re.compile(r"\bis distinct from\b"), "="),
    ("distinct", re.compile(r"(?<=select )distinct "), ""),
    ("join", re.compile(r"\bleft join\b"), "join"),
    ("join", re.compile(r"(?<!left )(?<!semi )(?<!anti )\bjoin\b"), "left join"),
    ("join", re.compile(r"\banti join\b"), "semi join"),
    ("join", re.compile(r"\bsemi join\b"), "anti join"),
    ("union", re.compile(r"\bunion all\b"), "union"),
    ("union", re.compile(r"\bunion\b(?! all)"), "union all"),
    ("order", re.compile(r"(?<=\w) desc\b"), ""),
    ("order", re.compile(r" order by [\w\", .]+"), ""),
    ("condition", re.compile(r"\band not\b"), "and"),
    ("condition", re.compile(r"\bnot (?=exists|in\b|\w+\b)(?!null)"), ""),
    ("condition", re.compile(r"(?<= )and(?= )"), "or"),
    ("bound", re.compile(r"\bmin\("), "max("),
    ("bound", re.compile(r"\bmax\("), "min("),
    ("column", re.compile(r"(?<=by )\w+, "), ""),
    ("column", re.compile(r"(?<=select )\w+, "), ""),
]  # fmt: skip


def changes_of(file: str, text: str) -> list[Change]:
    """All faults of a file, each once, in the order of the text."""
    made = _Faults(file, text)
    made.visit(ast.parse(text))
    found: dict[tuple[int, str, str], Change] = {}
    for change in made.found:
        if change.before != change.after:
            found.setdefault((change.start, change.before, change.after), change)
    return sorted(found.values(), key=lambda c: (c.start, len(c.before), c.after))


def compiles(change: Change, text: str) -> bool:
    """Whether the fault is Python at all."""
    try:
        compile(change.apply(text), change.file, "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


class _Faults(ast.NodeVisitor):
    """Collects the faults of each node; what only speaks (docstrings, annotations, messages) is left alone."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.found: list[Change] = []
        self._lines = [0]
        for line in text.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._bytes = text.encode()

    # Places

    def _at(self, line: int, column: int) -> int:
        return len(self._bytes[: self._lines[line - 1] + column].decode())

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _of(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.text[start:end]

    def _put(self, start: int, end: int, after: str, kind: str) -> None:
        self.found.append(Change(self.file, start, self.text[start:end], after, kind))

    def _instead(self, node: ast.AST, after: str, kind: str) -> None:
        self._put(*self._span(node), after, kind)

    def _without(self, items: list[ast.expr] | list[ast.keyword], index: int, kind: str) -> None:
        """One of several things between commas is gone."""
        start, end = self._span(items[index])
        if index + 1 < len(items):
            end = self._span(items[index + 1])[0]
        elif index:
            start = self._span(items[index - 1])[1]
        self._put(start, end, "", kind)

    # What is left alone

    def visit_If(self, node: ast.If) -> None:
        """A guard that is gone, or turned."""
        if "TYPE_CHECKING" in self._of(node.test):
            return
        if (
            node.body
            and isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break)
            and not node.orelse
        ):
            self._instead(node.test, "False", "guard")
        else:
            self._negated(node.test)
            self._instead(node.test, "True", "guard")
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value only."""
        if node.value:
            self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Nothing."""

    visit_ImportFrom = visit_Import  # type: ignore[assignment]  # noqa: N815

    def visit_Assign(self, node: ast.Assign) -> None:
        """The value; but what a package shows of itself is mypy's to check."""
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Defaults, decorators, body."""
        for part in (*node.decorator_list, *node.args.defaults, *[d for d in node.args.kw_defaults if d]):
            self.visit(part)
        for part in node.body:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_Raise(self, node: ast.Raise) -> None:
        """Nothing is said, and the work goes on."""
        self._instead(node, "pass", "statement")

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call that is not made."""
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call | ast.Await):
            self._instead(node, "pass", "statement")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """What is not counted."""
        self._instead(node, "pass", "statement")
        self.generic_visit(node)

    # Values

    def visit_Constant(self, node: ast.Constant) -> None:
        """One more, one less, the other truth; SQL in a text."""
        if isinstance(node.value, bool):
            self._instead(node, str(not node.value), "constant")
        elif isinstance(node.value, int) and abs(node.value) < 100_000 and not self._of(node).startswith("0o"):
            self._instead(node, str(node.value + 1), "number")
            if node.value > 0:
                self._instead(node, str(node.value - 1), "number")
        elif isinstance(node.value, str):
            self._text(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """The SQL of an f-string, without what stands in braces; then what stands in braces."""
        self._text(node)
        # Before 3.12 the places within an f-string are not known; its calls and names stay as they are.

    def _text(self, node: ast.AST) -> None:
        start, end = self._span(node)
        said = self.text[start:end]
        if not SQL.search(said):
            return
        fixed = _outside_braces(said) if isinstance(node, ast.JoinedStr) else said
        for kind, pattern, after in SQL_CHANGES:
            for found in pattern.finditer(fixed):
                if "\0" not in found[0]:
                    self._put(start + found.start(), start + found.end(), after, f"sql {kind}")

    # Expressions

    def _negated(self, test: ast.expr) -> None:
        if isinstance(test, ast.Compare | ast.BoolOp):
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._instead(test, self._of(test.operand), "negation")
        else:
            self._instead(test, f"not ({self._of(test)})", "negation")

    def visit_Compare(self, node: ast.Compare) -> None:
        """The boundary, or the other way round."""
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._span(left)[1], self._span(right)[0]
            between = self.text[start:end]
            for after in TURNED[type(operator)]:
                words = re.sub(r"[<>=!]+|\b(is not|not in|is|in)\b", after, between, count=1)
                self._put(start, end, words, "comparison")
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """`and` for `or`, and one of the conditions gone."""
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for one, two in zip(node.values, node.values[1:], strict=False):
            start, end = self._span(one)[1], self._span(two)[0]
            self._put(start, end, re.sub(rf"\b{word}\b", other, self.text[start:end], count=1), "condition")
        for index in range(len(node.values)):
            start, end = self._span(node.values[index])
            if index + 1 < len(node.values):
                end = self._span(node.values[index + 1])[0]
            else:
                start = self._span(node.values[index - 1])[1]
            cut = self.text[start:end]
            if cut.count("(") == cut.count(")"):
                self._put(start, end, "", "condition gone")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """`not` that is gone; a number with another sign."""
        if isinstance(node.op, ast.Not):
            self._instead(node, self._of(node.operand), "negation")
        elif isinstance(node.op, ast.USub):
            self._instead(node, self._of(node.operand), "number")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Another sign between two numbers or sets."""
        texts = [
            isinstance(side, ast.Constant | ast.JoinedStr) and not _is_number(side) for side in (node.left, node.right)
        ]
        if type(node.op) in ARITHMETIC and not any(texts):
            start, end = self._span(node.left)[1], self._span(node.right)[0]
            sign = re.sub(r"//|[-+*/%]", ARITHMETIC[type(node.op)], self.text[start:end], count=1)
            self._put(start, end, sign, "arithmetic")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Always the one, always the other."""
        self._instead(node, self._of(node.body), "choice")
        self._instead(node, self._of(node.orelse), "choice")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Nothing comes back."""
        if node.value and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            empty = {ast.List: "[]", ast.Dict: "{}", ast.ListComp: "[]", ast.DictComp: "{}"}.get(
                type(node.value), "None"
            )
            if isinstance(node.value, ast.Compare | ast.BoolOp):
                self._instead(node.value, "True", "return")
                self._instead(node.value, "False", "return")
            elif not isinstance(node.value, ast.Constant):
                self._instead(node.value, empty, "return")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Another function, an argument that is not given, a step of a chain left out."""
        function = node.func
        if (
            isinstance(function, ast.Name)
            and function.id in OTHER_CALL
            and (function.id != "sorted" or (len(node.args) == 1 and not node.keywords))
        ):
            self._instead(function, OTHER_CALL[function.id], "function")
        if isinstance(function, ast.Attribute):
            start, end = self._span(function.value)[1], self._span(node)[1]
            if function.attr in DROPPED_CALLS:
                self._put(start, end, "", "call gone")
            if function.attr in {"where", "order_by", "group_by", "filter", "and_", "or_"} and len(node.args) > 1:
                for index in range(len(node.args)):
                    self._without(node.args, index, "condition gone")
        everything: list[ast.expr | ast.keyword] = sorted(
            [*node.args, *node.keywords], key=lambda n: (n.lineno, n.col_offset)
        )
        for index, part in enumerate(everything):
            if isinstance(part, ast.keyword) and part.arg and not isinstance(part.value, ast.JoinedStr):
                self._without(everything, index, "argument")  # type: ignore[arg-type]
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        """A bound that is gone; bounds moved by one come from the number itself."""
        for bound in (node.lower, node.upper):
            if bound is not None:
                self._instead(bound, "", "slice")
        self.generic_visit(node)

    def _elements(self, node: ast.Tuple | ast.List | ast.Set) -> None:
        if len(node.elts) > 1 and isinstance(node.ctx if hasattr(node, "ctx") else ast.Load(), ast.Load):
            known = (
                (ast.Constant, ast.Attribute)
                if isinstance(node, ast.Tuple)
                else (ast.Constant, ast.Attribute, ast.Name)
            )
            same = all(isinstance(e, known) for e in node.elts)
            for index in range(len(node.elts)) if same else ():
                if len(node.elts) == 2 and isinstance(node, ast.Tuple):
                    other = self._of(node.elts[1 - index])
                    if self._of(node).startswith("("):
                        self._instead(node, f"({other},)", "element")
                else:
                    self._without(node.elts, index, "element")
        self.generic_visit(node)

    visit_Tuple = visit_List = visit_Set = _elements  # type: ignore[assignment]  # noqa: N815

    def visit_Dict(self, node: ast.Dict) -> None:
        """An entry that is gone."""
        for index, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            if key is None or not isinstance(key, ast.Constant | ast.Attribute | ast.Name):
                continue
            end = self._span(value)[1]
            after = re.match(r"\s*,", self.text[end:])
            if after:
                self._put(self._span(key)[0], end + after.end(), "", "entry")
            elif index == 0 and len(node.keys) == 1:
                self._put(self._span(key)[0], end, "", "entry")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """A filter that is gone."""
        for condition in node.ifs:
            self._instead(condition, "True", "filter")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """One of the exceptions is not expected; or the only one is another."""
        if isinstance(node.type, ast.Tuple):
            for index, one in enumerate(node.type.elts):
                rest = [self._of(e) for e in node.type.elts if e is not one]
                self._instead(node.type, f"({', '.join(rest)},)", "exception")
                del index
        elif node.type is not None:
            self._instead(node.type, "ZeroDivisionError", "exception")
        for part in node.body:
            self.visit(part)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _outside_braces(text: str) -> str:
    """The text with everything in braces struck out, places kept."""
    out, depth = [], 0
    for index, sign in enumerate(text):
        double = text[index : index + 2] in ("{{", "}}") or text[index - 1 : index + 1] in ("{{", "}}")
        if sign == "{" and not double:
            depth += 1
        out.append("\0" if depth else sign)
        if sign == "}" and not double:
            depth -= 1
    return "".join(out)
