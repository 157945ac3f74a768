"""The course in a real browser: JupyterLab started by `mlcourse learn`, driven in Chromium as a learner would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlcourse.exercises.engine import find

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SHOTS = os.environ.get("MLCOURSE_SHOTS")  # a folder for screenshots to look at


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab with the lessons in a fresh folder, and that folder."""
    home, root = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("learner") / "course"
    env = os.environ | {f"JUPYTER_{k}_DIR": str(home / k) for k in ("CONFIG", "DATA", "RUNTIME")}
    env |= {"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "mlcourse", "learn", str(root), "--no-browser"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for line in server.stdout:
        seen.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", line):
            break
    else:
        pytest.fail("no address:\n" + "".join(seen))
    yield found[0], root
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def width():
    """Pixels of the window that a page is opened in; a test may ask for another."""
    return 1400


@pytest.fixture
def page(browser, lab, width):
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.set_default_timeout(60_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(lab[0], wait_until="domcontentloaded")
    page.wait_for_function("() => window.jupyterapp")
    page.evaluate("async () => { await window.jupyterapp.restored; }")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    in_front(page, "index.ipynb")
    yield page
    page.close()


def shot(page, name):
    if SHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def open_lesson(page, path):
    """Open a lesson as a click on it would, and wait until its kernel is idle."""
    page.evaluate("path => window.jupyterapp.commands.execute('docmanager:open', {path})", path)
    in_front(page, path)


def in_front(page, path):
    """Wait until the notebook at `path` is in front and its kernel idle."""
    page.wait_for_function(FRONT, arg=path)
    page.evaluate("""async () => {
        const panel = window.jupyterapp.shell.currentWidget, context = panel.sessionContext;
        await panel.revealed;
        await context.ready;
        for (let i = 0; context.kernelDisplayStatus !== 'idle'; i++) {
            if (i > 600) throw new Error('kernel is ' + context.kernelDisplayStatus);
            await new Promise(done => setTimeout(done, 100));
        } }""")


# Whether the notebook at a path is in front; it is called there if another tab, still opening, came before it.
FRONT = """path => {
    const shell = window.jupyterapp.shell;
    const panel = [...shell.widgets('main')].find(widget => widget.context?.path === path);
    if (panel && shell.currentWidget !== panel) shell.activateById(panel.id);
    return panel && shell.currentWidget === panel; }"""


def shown(text):
    """A message as the card shows it: what stands in backticks is set as code."""
    return text.replace("`", "")


# Runs every cell of the open lesson; the errors shown below cells, and how many cells did not run.
RUN = """async () => {
    const app = window.jupyterapp, cells = app.shell.currentWidget.content.widgets;
    await app.commands.execute('notebook:run-all-cells');
    const code = cells.filter(cell => cell.model.type === 'code');
    const outputs = code.flatMap(cell => cell.model.outputs.toJSON());
    return {failed: outputs.filter(o => o.output_type === 'error').map(o => o.evalue),
            skipped: code.filter(cell => cell.model.executionCount === null).length}; }"""


# Brings the first cell that holds a text into view.
SCROLL = """async text => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const at = notebook.widgets.findIndex(c => c.model.sharedModel.getSource().includes(text));
    notebook.activeCellIndex = at;
    await notebook.scrollToItem(at, 'center'); }"""


FITS = """id => {
    const card = document.querySelector(`.mlcourse-card[aria-label^='Exercise ${id}:']`);
    return card && card.getBoundingClientRect().right <= innerWidth; }"""


def answer(page, id, code):
    """Put `code` in place of the answer of exercise `id` and run that cell; the card that appears."""
    page.evaluate(
        """async ([id, code]) => {
        const panel = window.jupyterapp.shell.currentWidget, notebook = panel.content;
        await panel.context.ready;
        const at = notebook.widgets.findIndex(c => c.model.sharedModel.getSource().includes(`check("${id}"`));
        if (at < 0) throw new Error(`no ${id} in ${panel.context.path}: ${notebook.widgets.length} cells`);
        notebook.activeCellIndex = at;
        await notebook.scrollToItem(at, 'center');
        const source = notebook.widgets[at].model.sharedModel;
        const call = source.getSource().split('\\n').filter(l => l.startsWith('check(')).pop();
        source.setSource(code.trim() + '\\n\\n' + call);
        await window.jupyterapp.commands.execute('notebook:run-cell');
        await notebook.scrollToItem(at, 'center');
        }""",
        [id, code],
    )
    return page.locator(f".mlcourse-card[aria-label^='Exercise {id}:']")


@pytest.mark.parametrize("theme", ("JupyterLab Light", "JupyterLab Dark"))
@pytest.mark.parametrize("width", (1400, 800))
def test_home_page_fits(page, width, theme):
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    page.get_by_role("heading", level=1).first.wait_for()
    assert page.evaluate(RUN) == {"failed": [], "skipped": 0}
    page.evaluate(SCROLL, "plt.subplots")
    map_, panel = page.locator(".jp-RenderedImage img").first, page.locator(".jp-NotebookPanel").first
    map_.wait_for()
    inside, around = map_.bounding_box(), panel.bounding_box()
    assert inside["x"] + inside["width"] <= around["x"] + around["width"]
    shot(page, f"home_{width}_{theme[11:].lower()}")
    assert not page.errors


def test_lesson_wrong_answer_hint_right_answer(page, lab):
    from playwright.sync_api import expect

    exercise = find("frame-1")
    open_lesson(page, "1_frame/06_frame.ipynb")
    ran = page.evaluate(RUN)
    assert ran == {"failed": [], "skipped": 0}, ran
    looks = exercise.mistakes[0].code.replace("\n", '\n    print("<b>", len(flights))\n', 1)
    card = answer(page, "frame-1", looks)
    expect(card.locator(".mlcourse-badge")).to_contain_text(re.compile("Not yet|Fragile"))
    expect(card.locator(".mlcourse-message")).to_contain_text(shown(exercise.mistakes[0].message))
    expect(card.locator(".mlcourse-heard")).to_have_text("Your code printed:<b> 60")
    expect(card.get_by_role("button", name=re.compile("^Solution after"))).to_be_disabled()
    bar = card.locator("progress")
    before = bar.evaluate("b => b.value")

    hint = card.get_by_role("button", name=re.compile("^Hint"))
    hint.focus()
    page.keyboard.press("Enter")  # the keyboard is enough
    expect(card.get_by_role("listitem")).to_have_text([shown(exercise.hints[0])])
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    for width, theme in ((1400, "Dark"), (800, "Dark"), (800, "Light"), (1400, "Light")):
        page.set_viewport_size({"width": width, "height": 1000})
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            f"JupyterLab {theme}",
        )
        page.evaluate(SCROLL, 'check("frame-1"')
        page.wait_for_function(FITS, arg="frame-1")
        shot(page, f"card_{width}_{theme.lower()}")

    card = answer(page, "frame-1", exercise.solutions[1])
    expect(card.locator(".mlcourse-badge")).to_contain_text("Passed")
    expect(card.locator(".mlcourse-heard")).to_be_hidden()
    assert card.locator("progress").evaluate("b => b.value") == before + 1
    card.get_by_role("button", name="Show solution").click()
    expect(card.locator("pre.mlcourse-solution")).to_contain_text(
        exercise.solutions[0].strip().splitlines()[0]
    )
    shot(page, "card_passed")
    card.get_by_role("button", name=re.compile("^Next")).click()
    page.wait_for_function("""() => { const n = window.jupyterapp.shell.currentWidget.content;
        return n.activeCell.model.sharedModel.getSource().includes('check("frame-2"'); }""")
    assert '"passed": true' in (lab[1] / ".mlcourse" / "progress.json").read_text()
    assert not page.errors
