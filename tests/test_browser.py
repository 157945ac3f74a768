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
def page(browser, lab):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(lab[0], wait_until="domcontentloaded")
    page.wait_for_function("() => window.jupyterapp")
    page.evaluate("async () => { await window.jupyterapp.restored; }")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    yield page
    page.close()


def shot(page, name):
    if SHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def open_lesson(page, path):
    """Open a lesson as a click on it would, and wait until its kernel is idle."""
    page.evaluate(
        """async path => {
            const app = window.jupyterapp;
            const panel = await app.commands.execute('docmanager:open', {path: path});
            await panel.revealed;
            app.shell.activateById(panel.id);
        }""", path)  # fmt: skip
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").first.wait_for()
    page.evaluate("""async () => {
        const context = window.jupyterapp.shell.currentWidget.sessionContext;
        await context.ready;
        for (let i = 0; context.kernelDisplayStatus !== 'idle'; i++) {
            if (i > 600) throw new Error('kernel is ' + context.kernelDisplayStatus);
            await new Promise(done => setTimeout(done, 100));
        } }""")


def shown(text):
    """A message as the card shows it: what stands in backticks is set as code."""
    return text.replace("`", "")


def run_all(page):
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")


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


def test_opens_on_the_home_page(page):
    from playwright.sync_api import expect

    expect(page.locator(".lm-TabBar-tab.jp-mod-current", has_text="index.ipynb").first).to_be_visible()
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    assert not page.errors


def test_lesson_wrong_answer_hint_right_answer(page, lab):
    from playwright.sync_api import expect

    exercise = find("frame-1")
    open_lesson(page, "1_frame/06_frame.ipynb")
    run_all(page)
    card = page.locator(".mlcourse-card[aria-label^='Exercise frame-1:']")
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code')
                  .every(c => c.model.executionCount !== null)""", timeout=180_000)  # fmt: skip
    card = answer(page, "frame-1", exercise.mistakes[0].code)
    expect(card.locator(".mlcourse-badge")).to_contain_text(re.compile("Not yet|Fragile"))
    expect(card.locator(".mlcourse-message")).to_contain_text(shown(exercise.mistakes[0].message))
    expect(card.get_by_role("button", name=re.compile("^Solution after"))).to_be_disabled()
    bar = card.locator("progress")
    before = bar.evaluate("b => b.value")

    hint = card.get_by_role("button", name=re.compile("^Hint"))
    hint.focus()
    page.keyboard.press("Enter")  # the keyboard is enough
    expect(card.get_by_role("listitem")).to_have_text([shown(exercise.hints[0])])
    shot(page, "card_not_yet")

    card = answer(page, "frame-1", exercise.solutions[1])
    expect(card.locator(".mlcourse-badge")).to_contain_text("Passed")
    assert card.locator("progress").evaluate("b => b.value") == before + 1
    card.get_by_role("button", name="Show solution").click()
    expect(card.locator("pre")).to_contain_text(exercise.solutions[0].strip().splitlines()[0])
    shot(page, "card_passed")
    card.get_by_role("button", name=re.compile("^Next")).click()
    page.wait_for_function("""() => { const n = window.jupyterapp.shell.currentWidget.content;
        return n.activeCell.model.sharedModel.getSource().includes('check("frame-2"'); }""")
    assert '"passed": true' in (lab[1] / ".mlcourse" / "progress.json").read_text()
    assert not page.errors
