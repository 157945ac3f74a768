"""The house style, counted: every notebook and module, and for each rule a small planted breach that it must see."""

import ast
import importlib
import inspect
import re
import statistics
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_imports import FILES, NAMES, ORDER
from test_notebooks import NOTEBOOKS

CELLS, LINES, MEDIAN, WORDS, PROSE, LOSS, MINUTES, PLOT, BODY = 60, 25, 6, 120, (25, 60), 60, 45, 8, 25
ASSERTS = re.compile(r"^\s*(assert|test_\w+\(|with expect_fail|expect_fail\()", re.M)


class Notebook:
    """A notebook as the rules see it."""

    def __init__(self, cells, name, lesson):
        self.cells, self.name, self.lesson = cells, name, lesson
        self.module = re.sub(r"^\d+\w?_", "", name)
        self.code = [(n, c.source) for n, c in enumerate(cells, 1) if c.cell_type == "code"]
        self.prose = [(n, c.source) for n, c in enumerate(cells, 1) if c.cell_type == "markdown"]

    @classmethod
    def read(cls, path):
        """From a file; a lesson is one whose name begins with its number."""
        return cls(nbformat.read(path, 4).cells, path.stem, bool(re.match(r"\d\d\w?_", path.stem)))

    def after(self, n):
        """Cells after number `n`."""
        return list(enumerate(self.cells, 1))[n:]


def lines(source):
    """Lines of code: neither blank nor comment."""
    return [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def words(source):
    """Words a learner reads as prose: no tables, no code blocks, no displayed formulas."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$|^\|.*?$", "", source, flags=re.S | re.M)
    return re.findall(r"[A-Za-z0-9'%$-]+", re.sub(r"\]\([^)]*\)", "]", text))


def exported(source):
    """Whether a code cell goes into the module."""
    return bool(re.search(r"^#\| *export\b", source, re.M))


def parsed(source):
    """Syntax tree of a cell; IPython's extras (a final `;`) do no harm, magics are another rule's business."""
    return ast.parse(re.sub(r"(?m)^\s*[!%].*$", "pass", source))


def names_in(source):
    """Every name and attribute that a cell uses."""
    nodes = list(ast.walk(parsed(source)))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {
        n.attr for n in nodes if isinstance(n, ast.Attribute)
    }


def public(source):
    """Functions and classes that a cell defines for others."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [n.name for n in parsed(source).body if isinstance(n, kinds) and not n.name.startswith("_")]


RULES = {}


def rule(check):
    """Enter a rule: a function of a notebook that gives each breach in words."""
    RULES[check.__name__] = check
    return check


@rule
def short(nb) -> Iterator[str]:
    """Few cells, of few lines."""
    if len(nb.cells) > CELLS:
        yield f"{len(nb.cells)} cells, at most {CELLS}"
    yield from (
        f"cell {n}: {len(lines(s))} lines, at most {LINES}" for n, s in nb.code if len(lines(s)) > LINES
    )
    counts = [len(lines(s)) for _, s in nb.code if lines(s)]
    if counts and statistics.median(counts) > MEDIAN:
        yield f"half of the code cells are longer than {MEDIAN} lines"


@rule
def brief(nb) -> Iterator[str]:
    """Prose in portions: none above 120 words, and in a lesson typically 25 to 60."""
    counts = [(n, len(words(s))) for n, s in nb.prose]
    yield from (f"cell {n}: {count} words, at most {WORDS}" for n, count in counts if count > WORDS)
    typical = statistics.median([count for _, count in counts] or [0])
    if nb.lesson and not PROSE[0] <= typical <= PROSE[1]:
        yield f"a typical prose cell has {typical:g} words, {PROSE[0]} to {PROSE[1]} are wanted"


@rule
def clean(nb) -> Iterator[str]:
    """No results and no traces of running are kept."""
    for n, cell in enumerate(nb.cells, 1):
        if cell.get("outputs") or cell.get("execution_count") or cell.metadata:
            yield f"cell {n}: outputs, count or metadata are kept: run nbdev-clean"


@rule
def titled(nb) -> Iterator[str]:
    """First cell: title, blank line, a promise of one line. Second: what it exports to, if it exports."""
    first = nb.cells[0].source.splitlines() if nb.cells else []
    if nb.cells[0].cell_type != "markdown" or not re.fullmatch(r"# .+\n\n> .+", "\n".join(first)):
        yield "cell 1 is not '# Title', a blank line, and '> a promise of one line'"
    exports = [s for _, s in nb.code if exported(s)]
    if bool(exports) != (f"#| default_exp {nb.module}" in [s.strip() for _, s in nb.code[:1]]):
        yield f"the first code cell is '#| default_exp {nb.module}' if, and only if, the notebook exports"


@rule
def opens_with_a_loss(nb) -> Iterator[str]:
    """Second prose cell: what is at stake in at most 60 words, then three verbs and the minutes."""
    if not nb.lesson:
        return
    opening = nb.prose[1][1] if len(nb.prose) > 1 else ""
    loss, found, promise = opening.partition("**You will**")
    if not found or not 5 <= len(words(loss)) <= LOSS:
        yield f"the loss has {len(words(loss))} words, 5 to {LOSS} are wanted, then **You will**"
    if not all(f"({n})" in promise for n in (1, 2, 3)) or "(4)" in promise:
        yield "**You will** names (1), (2), (3)"
    minutes = re.search(r"\*About (\d+) min\.?\*", promise)
    if not minutes or int(minutes[1]) > MINUTES:
        yield f"*About N min.* with at most {MINUTES} is missing"


@rule
def asks_for_a_guess(nb) -> Iterator[str]:
    """*Guess before you run*, with the cell to run next below it."""
    if not nb.lesson:
        return
    guesses = [n for n, s in nb.prose if re.search(r"guess before you run", s, re.I)]
    if not guesses:
        yield "nowhere is the learner asked to guess before they run"
    for n in guesses:
        if n == len(nb.cells) or nb.cells[n].cell_type != "code":
            yield f"cell {n}: after the guess comes the cell to run"


@rule
def keeps(nb) -> Iterator[str]:
    """Last cell: Keep, in three lines."""
    if not nb.lesson:
        return
    last = [line for line in nb.cells[-1].source.splitlines() if line.strip()]
    if not re.match(r"#+ Keep", last[0] if last else "") or len(last) != 4:
        yield "the last cell is '## Keep' and three lines"


@rule
def exercises(nb) -> Iterator[str]:
    """At least three checks, numbered in order, each the last line of a cell under its own *Your turn*."""
    ids, heading = [], ""
    for n, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ .+", cell.source, re.M)][-1]
        elif found := re.findall(r'^check\("([\w-]+)", ', cell.source, re.M):
            ids += found
            if not heading.startswith("## Your turn: "):
                yield f"cell {n}: the heading above {found[0]} is not '## Your turn: …'"
            if len(found) != 1 or not cell.source.rstrip().splitlines()[-1].startswith("check("):
                yield f"cell {n}: one check, as the last line"
            heading = ""
    if nb.lesson and (len(ids) < 3 or ids != [f"{nb.module}-{i}" for i in range(1, len(ids) + 1)]):
        yield f"checks {ids}: wanted are {nb.module}-1, {nb.module}-2, {nb.module}-3 and on, in order"


@rule
def define_call_assert(nb) -> Iterator[str]:
    """An exported cell is used within the next two cells of code, asserted within four; each name somewhere."""
    plain = [(n, names_in(s), bool(ASSERTS.search(s))) for n, s in nb.code if not exported(s)]
    for at, source in nb.code:
        names = set(public(source)) if exported(source) else set()
        below = [(used, asserts) for n, used, asserts in plain if n > at]
        if names and not any(names & used for used, _ in below[:2]):
            yield f"cell {at}: {', '.join(names)}: not used within the next two cells"
        if names and not any(names & used for used, asserts in below[:4] if asserts):
            yield f"cell {at}: {', '.join(names)}: not asserted within the next four cells"
        lost = names.difference(*(used for used, asserts in below if asserts))
        yield from (f"cell {at}: no assertion below speaks of {name}" for name in sorted(lost))


@rule
def plots(nb) -> Iterator[str]:
    """At most 8 lines, a title, a label with the unit, and a sentence before the next cell of code."""
    for n, source in nb.code:
        if not re.search(r"\b(plt|fig)\.|subplots\(", source) or exported(source) or "import " in source:
            continue
        if len(lines(source)) > PLOT:
            yield f"cell {n}: {len(lines(source))} lines for a plot, at most {PLOT}"
        if nb.lesson and "title" not in source:
            yield f"cell {n}: the plot has no title that states its finding"
        if nb.lesson and not ("xlabel" in source or "ylabel" in source):
            yield f"cell {n}: no axis has a label"
        if n == len(nb.cells) or nb.cells[n].cell_type != "markdown":
            yield f"cell {n}: no sentence after the plot"


@rule
def stays_home(nb) -> Iterator[str]:
    """No shell, no install, no address fetched, no export from within."""
    fetch = r"(read_\w+|urlopen|urlretrieve|requests\.\w+|httpx\.\w+|load_table)\(\s*f?['\"]https?://(?!127\.0\.0\.1|localhost)"
    for n, source in nb.code:
        if re.search(r"^\s*(!|%(run|pip|conda|sx|system)\b|%%(bash|sh|script|cmd)\b)", source, re.M):
            yield f"cell {n}: a shell command"
        if re.search(fetch, source) or re.search(r"fetch_openml|nbdev_export\(", source):
            yield f"cell {n}: fetches an address, or exports"


@rule
def seeded(nb) -> Iterator[str]:
    """Chance comes from a seed that is written down."""
    for n, source in nb.code:
        if re.search(
            r"default_rng\(\)|np\.random\.(?!default_rng|Generator|SeedSequence)\w|import random\b", source
        ):
            yield f"cell {n}: randomness without a seed of its own"
        if re.search(r"\.sample\((?![^)]*random_state)", source):
            yield f"cell {n}: a sample without random_state"


@rule
def pictures_speak(nb) -> Iterator[str]:
    """A picture in prose has a text equivalent."""
    for n, source in nb.prose:
        yield from (
            f"cell {n}: a picture without words"
            for alt in re.findall(r"!\[(.*?)\]\(", source)
            if len(alt.split()) < 3
        )


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.relative_to(ROOT).as_posix() for p in NOTEBOOKS])
def test_notebook(path, name):
    breaches = list(RULES[name](Notebook.read(path)))
    assert not breaches, f"{path.name}:\n" + "\n".join(breaches)


# A lesson as it should be; each planted breach changes it in one place.
PLENTY = "A sentence that says what the number means, and why the next cell follows from it. " * 2
GOOD = [
    ("# Small: a lesson\n\n> It keeps every rule."),
    "#| default_exp small",
    (
        "Nobody looked, and the desk lost a day. **You will** (1) *see*, (2) *do*, (3) *say*. *About 10 min.* "
        + PLENTY
    ),
    "import matplotlib.pyplot as plt",
    (f"## First\n{PLENTY} **Guess before you run:** is it one?"),
    "#| export\ndef one() -> int:\n    '''The number one.'''\n    return 1",
    "one()",
    "assert one() == 1",
    "fig, ax = plt.subplots()\nax.set(xlabel='days', title='It is one')",
    ("The line stays at one. " + PLENTY),
    *[
        cell
        for n in (1, 2, 3)
        for cell in ((f"## Your turn: do it\n{PLENTY}"), f'answer = ____\n\ncheck("small-{n}", answer)')
    ],
    "## Keep\n- **See** it.\n- **Do** it.\n- **Say** it.",
]


def small(*sources):
    """A notebook of these cells; those that begin like prose are prose."""
    prose = re.compile(r"#{1,3} [A-Z]|!\[|[A-Z][^=(]*[ \[]")
    cells = [new_markdown_cell(s) if prose.match(s) else new_code_cell(s) for s in sources]
    return Notebook(new_notebook(cells=cells).cells, "01_small", True)


def instead(number, *cells):
    """The good lesson with other cells in place of one."""
    return small(*GOOD[: number - 1], *cells, *GOOD[number:])


def kept_output():
    lesson = small(*GOOD)
    lesson.cells[6].outputs = [new_output("stream", text="1")]
    return lesson


PLANTED = {
    "short": [
        lambda: small(*GOOD[:4], *["1"] * 50, *GOOD[4:]),
        lambda: instead(4, "\n".join(["x = 1"] * 26)),
        lambda: small(*GOOD[:4], *["\n".join(["x = 1"] * 7)] * 20, *GOOD[4:]),
    ],
    "brief": [
        lambda: instead(10, "The line " + "stays at one " * 60),
        lambda: small(*GOOD[:4], *["Too little said."] * 20, *GOOD[4:]),
    ],
    "clean": [kept_output],
    "titled": [
        lambda: instead(1, "# Small: no promise"),
        lambda: instead(1, "Small: no title\n\n> A promise."),
        lambda: instead(2, "#| default_exp other"),
        lambda: instead(6, "def one():\n    return 1"),
    ],
    "opens_with_a_loss": [
        lambda: instead(3, "Welcome to this lesson about the number one. " + PLENTY),
        lambda: instead(3, "Nobody looked. " * 40 + GOOD[2]),
        lambda: instead(3, GOOD[2].replace("(3)", "and")),
        lambda: instead(3, GOOD[2].replace("10 min", "90 min")),
    ],
    "asks_for_a_guess": [
        lambda: instead(5, "## First\nRun it."),
        lambda: instead(5, GOOD[4], "It is one, of course."),
    ],
    "keeps": [lambda: small(*GOOD[:-1]), lambda: instead(len(GOOD), "## Keep\n- One line.")],
    "exercises": [
        lambda: small(*GOOD[:-3], GOOD[-1]),
        lambda: instead(15, "## Another heading\nDo it."),
        lambda: instead(16, 'check("small-4", 1)'),
        lambda: instead(16, 'check("small-3", 1)\nprint("done")'),
    ],
    "define_call_assert": [
        lambda: instead(7, "2", "3"),
        lambda: instead(8, "one() == 1"),
        lambda: instead(6, GOOD[5] + "\n\n\ndef two() -> int:\n    return 2"),
    ],
    "plots": [
        lambda: instead(
            9, "fig, ax = plt.subplots()\n" + "ax.plot()\n" * 8 + "ax.set(xlabel='days', title='t')"
        ),
        lambda: instead(9, "fig, ax = plt.subplots()\nax.set(xlabel='days')"),
        lambda: instead(9, "fig, ax = plt.subplots()\nax.set(title='It is one')"),
        lambda: instead(10, "1 + 1"),
    ],
    "stays_home": [
        lambda: instead(4, "!pip install x"),
        lambda: instead(4, "%run other.py"),
        lambda: instead(4, "%%bash\nls"),
        lambda: instead(4, "pd.read_csv('https://example.org/x.csv')"),
        lambda: instead(4, "nbdev_export()"),
    ],
    "seeded": [
        lambda: instead(4, "rng = np.random.default_rng()"),
        lambda: instead(4, "np.random.seed(1)"),
        lambda: instead(4, "flights.sample(10)"),
    ],
    "pictures_speak": [lambda: instead(10, "![map](map.png) " + PLENTY)],
}


@pytest.mark.parametrize("name", RULES)
def test_a_good_lesson_keeps_the_rule(name):
    assert not list(RULES[name](small(*GOOD)))


@pytest.mark.parametrize(("name", "at"), [(name, at) for name in RULES for at in range(len(PLANTED[name]))])
def test_a_planted_breach_is_seen(name, at):
    assert list(RULES[name](PLANTED[name][at]()))


def functions(tree, public_only=True):
    """(qualified name, node) of the functions and methods of a module, those inside functions left out."""
    for node in tree.body:
        hidden = node.name.startswith("_") if hasattr(node, "name") else False
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not (public_only and hidden):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not (public_only and hidden):
            yield from ((f"{node.name}.{name}", f) for name, f in functions(node, public_only))


def undocumented(module):
    """Public classes and functions of a module without a docstring, their own or of what they override."""
    for name, thing in list(vars(module).items()):
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(thing):
            methods = [k for k, v in vars(thing).items() if inspect.isfunction(v) and not k.startswith("_")]
            yield from (f"{name}.{k}" for k in methods if not inspect.getdoc(getattr(thing, k)))
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing):
            yield name


def unannotated(tree):
    """Arguments and results of public functions that have no type."""
    for name, node in functions(tree):
        spec = node.args
        given = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, [spec.vararg, spec.kwarg])]
        yield from (
            f"{name}: {a.arg}" for a in given if a.annotation is None and a.arg not in ("self", "cls")
        )
        if node.returns is None and not name.endswith("__init__"):
            yield f"{name}: result"


def long(source):
    """Functions whose body has more than 25 lines of code, docstring and comments apart."""
    text = source.splitlines()
    for name, node in functions(ast.parse(source), public_only=False):
        body = node.body[1:] if ast.get_docstring(node) else node.body
        first = min((n.lineno for n in body), default=node.end_lineno)
        count = len(lines("\n".join(text[first - 1 : node.end_lineno]))) if body else 0
        if count > BODY:
            yield f"{name}: {count} lines"


MODULES = [p for p in FILES if p.stem not in ("_modidx", "__main__")]
LESSON_MODULES = [p for p in MODULES if p.stem in ORDER and p.parent.name == "mlcourse"]
each_module = pytest.mark.parametrize("path", MODULES, ids=[p.relative_to(ROOT).as_posix() for p in MODULES])


@each_module
def test_public_names_are_documented(path):
    assert not list(undocumented(importlib.import_module(NAMES[path])))


@each_module
def test_bodies_are_short(path):
    assert not list(long(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", LESSON_MODULES, ids=[p.stem for p in LESSON_MODULES])
def test_public_functions_are_annotated(path):
    assert not list(unannotated(ast.parse(path.read_text(encoding="utf-8"))))


def made(source):
    """A module of this text."""
    module = types.ModuleType("made")
    exec(source, vars(module))
    return module


def test_module_rules_see_breaches():
    bad = "class A:\n    def f(self, x):\n        return x\n\n\ndef g(y: int = 1, *z):\n    '''Y.'''\n    return y\n"
    assert sorted(undocumented(made(bad))) == ["A", "A.f"]
    assert list(unannotated(ast.parse(bad))) == ["A.f: x", "A.f: result", "g: z", "g: result"]
    assert list(long("def h():\n    '''H.'''\n" + "    x = 1\n" * 26)) == ["h: 26 lines"]
    fine = "def _p(x):\n    return x\n\n\ndef h(x: int) -> int:\n    '''H.'''\n" + "    x = 1\n" * 25
    assert not list(undocumented(made(fine)))
    assert not list(unannotated(ast.parse(fine))) and not list(long(fine))


def ruff(*arguments, at=ROOT):
    """What ruff says, empty if it is content."""
    command = [Path(sys.executable).with_name("ruff"), *arguments, "--no-cache"]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True)
    return (done.stdout + done.stderr)[-6000:] if done.returncode else ""


def test_ruff_check():
    assert not (said := ruff("check")), said


def test_ruff_format():
    assert not (said := ruff("format", "--check")), said


def test_ruff_sees_a_breach(tmp_path):
    notebook = new_notebook(cells=[new_code_cell("import os\nx = { 'a':1 }")])
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    config = f"--config={ROOT / 'pyproject.toml'}"
    assert "bad.ipynb" in ruff("format", "--check", config, at=tmp_path)
    assert "F401" in ruff("check", config, at=tmp_path)
