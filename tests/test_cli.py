"""The `mlcourse` command on a small made course: what each command does, says and returns."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import made_course
import pytest
from conftest import LESSONS, ROOT

import mlcourse
from mlcourse import folder
from mlcourse.cli import main

START = 'answer = ____\n\ncheck("two-1", "to do")'


@pytest.fixture
def nbs(tmp_path, monkeypatch):
    monkeypatch.setattr(mlcourse, "__file__", str(tmp_path / "home" / "mlcourse" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return made_course.make(tmp_path / "home")


@pytest.fixture
def laid(nbs, tmp_path, capsys):
    assert main(["learn", "mine", "--no-start"]) == 0
    capsys.readouterr()
    return tmp_path / "mine"


@pytest.fixture
def run(capsys):
    def run(*args):
        code = main([str(a) for a in args])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, re.sub(r"[ \n]+", " ", out + err)

    return run


def sources(path):
    return [folder.source(c) for c in json.loads(path.read_text())["cells"]]


def change(path, old, new):
    path.write_text(path.read_text().replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))


def files(root):
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and ".mlcourse" not in p.parts
    )


def test_version_and_help(run):
    assert run("--version")[1].startswith(f"mlcourse {mlcourse.__version__}")
    code, text = run("--help")
    assert code == 0 and all(
        word in text for word in ("learn", "status", "check", "reset", "doctor", "update")
    )


def test_help_loads_nothing_heavy():
    heavy = "nbclient nbformat jupyter_client numpy pandas duckdb IPython".split()
    script = f"import sys; from mlcourse.cli import main; main(['--help']); sys.exit(bool(set({heavy}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_reading_order_ends_with_projects_where_they_start():
    names = [lesson.name for lesson in folder.lessons()]
    numbers = [float(lesson.number.replace("b", ".5") or 0) for lesson in folder.lessons()]
    lessons = len([number for number in numbers if number])
    assert names[0] == "index" and numbers[: lessons + 1] == sorted(numbers[: lessons + 1])
    starts, references = names[lessons + 1 :: 2], names[lessons + 2 :: 2]
    assert starts and references == [f"{name}_reference" for name in starts]


def test_learn_lays_every_lesson_with_a_kernel_named(laid, nbs):
    assert files(laid) == ["0_start/01_one.ipynb", "1_next/02_two.ipynb", "index.ipynb", "matplotlibrc"]
    for name in made_course.LESSONS:
        assert sources(laid / name) == sources(nbs / name)
        assert json.loads((laid / name).read_text())["metadata"]["kernelspec"]["name"] == "python3"
    known = json.loads((laid / ".mlcourse" / "lessons.json").read_text())["lessons"]
    assert known["index.ipynb"] == folder.digest(nbs / "index.ipynb")


def test_learn_never_writes_over_the_learners_work(laid, nbs, run):
    change(laid / "1_next/02_two.ipynb", "answer = ____", "answer = 42")
    mine = (laid / "1_next/02_two.ipynb").read_bytes()
    (laid / "index.ipynb").unlink()
    change(nbs / "1_next/02_two.ipynb", "Two: further", "Two: better")
    code, said = run("learn", "mine", "--no-start")
    assert code == 0 and "Laid 1 file" in said and "newer version of 1 file: `mlcourse update`" in said
    assert (laid / "1_next/02_two.ipynb").read_bytes() == mine and (laid / "index.ipynb").exists()


def test_learn_keeps_a_stranger_with_a_lessons_name(nbs, tmp_path, run):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.ipynb").write_text("my own")
    assert run("learn", "mine", "--no-start")[0] == 0
    assert run("update", "--dir", "mine")[1].count("index.new.ipynb") == 1
    assert (tmp_path / "mine" / "index.ipynb").read_text() == "my own"


def test_learn_refuses_a_file_and_the_course_itself(nbs, tmp_path, run):
    (tmp_path / "note.txt").write_text("x")
    for place, word in [
        ("note.txt", "is a file"),
        ("home", "holds the course"),
        ("home/nbs", "holds the course"),
    ]:
        code, said = run("learn", place, "--no-start")
        assert code == 2 and word in said
    assert files(tmp_path / "home") == sorted(f"nbs/{n}" for n in [*made_course.LESSONS, "matplotlibrc"])


def test_learn_refuses_the_courses_other_folders_but_goes_on_in_a_half_laid_one(nbs, tmp_path, run):
    (tmp_path / "home" / "tests").mkdir()
    (tmp_path / "home" / "tests" / "test_it.py").write_text("")
    code, said = run("learn", "home/tests", "--no-start")
    assert code == 2 and "lies in the course and is not empty" in said
    assert files(tmp_path / "home" / "tests") == ["test_it.py"]
    assert run("learn", "home/mine", "--no-start")[0] == 0
    for left in (tmp_path / "home/mine/.mlcourse/lessons.json", tmp_path / "home/mine/1_next/02_two.ipynb"):
        left.unlink()  # it was killed before it wrote what it had laid
    (tmp_path / "home" / "mine" / ".mlcourse").rmdir()
    assert run("learn", "home/mine", "--no-start")[0] == 0
    assert (tmp_path / "home/mine/1_next/02_two.ipynb").exists()


def test_learn_never_lays_a_course_inside_a_course(laid, run, monkeypatch):
    monkeypatch.chdir(laid / "1_next")
    code, said = run("learn", "my-course", "--no-start")
    assert code == 2 and f"lies inside your course folder {laid}: `mlcourse learn` opens that one" in said
    (laid / "1_next/02_two.ipynb").unlink()
    code, said = run("learn", "--no-start")
    assert code == 0 and f"Laid 1 file in {laid}." in said and files(laid / "1_next") == ["02_two.ipynb"]


def test_update_says_what_it_did_and_spares_what_was_touched(laid, nbs, run):
    assert "is that of mlcourse" in run("update", "--dir", laid)[1]
    executed = json.loads((laid / "0_start/01_one.ipynb").read_text())
    executed["cells"][1] |= {
        "execution_count": 7,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "hi"}],
    }
    (laid / "0_start/01_one.ipynb").write_text(json.dumps(executed))
    change(laid / "1_next/02_two.ipynb", "answer = ____", "answer = 42")
    mine = (laid / "1_next/02_two.ipynb").read_bytes()
    for name, old, new in [("0_start/01_one.ipynb", "One", "Uno"), ("1_next/02_two.ipynb", "Two", "Due")]:
        change(nbs / name, old, new)
    made_course.make(nbs.parent, {"1_next/03_three.ipynb": ["# Three"]})
    said = run("update", "--dir", laid)[1]
    assert (
        "03_three.ipynb: new" in said
        and "01_one.ipynb: newer (you" in said
        and "02_two.new.ipynb: newer, laid" in said
    )
    assert sources(laid / "0_start/01_one.ipynb")[0].startswith("# Uno")
    assert sources(laid / "1_next/02_two.new.ipynb")[0].startswith("# Due")
    assert (laid / "1_next/02_two.ipynb").read_bytes() == mine
    assert "is that of mlcourse" in run("update", "--dir", laid)[1]


def test_update_lays_beside_again_only_for_a_newer_version_and_spares_a_touched_offer(laid, nbs, run):
    mine = laid / "1_next/02_two.ipynb"
    change(mine, "answer = ____", "answer = 42")
    change(nbs / "1_next/02_two.ipynb", "Two", "Due")
    run("update", "--dir", laid)
    change(nbs / "1_next/02_two.ipynb", "Due", "Zwei")
    assert "02_two.new.ipynb" in run("update", "--dir", laid)[1]
    change(laid / "1_next/02_two.new.ipynb", "answer = ____", "answer = my second try")
    change(nbs / "1_next/02_two.ipynb", "Zwei", "Deux")
    assert "02_two.new2.ipynb" in run("update", "--dir", laid)[1]
    assert "my second try" in (laid / "1_next/02_two.new.ipynb").read_text() and "42" in mine.read_text()


@pytest.mark.parametrize("ledger", ["", '{"version": "0.1.0", "les', "[]", '{"lessons": null}', None])
def test_a_lost_ledger_loses_nothing(laid, nbs, run, ledger):
    place = laid / ".mlcourse" / "lessons.json"
    place.unlink() if ledger is None else place.write_text(ledger)
    change(laid / "1_next/02_two.ipynb", "answer = ____", "answer = 42")
    change(nbs / "1_next/02_two.ipynb", "Two", "Due")
    said = run("update", "--dir", laid)[1]
    assert "02_two.new.ipynb" in said and "01_one" not in said
    assert "42" in (laid / "1_next/02_two.ipynb").read_text()


def test_check_shows_outcomes_and_leaves_the_file_alone(laid, run):
    before = {name: (laid / name).read_bytes() for name in files(laid)}
    code, said = run("check", "two", "--dir", laid)
    assert code == 1 and "two-1 to do said of two-1" in said and "two-2 passed" in said
    assert "1 of 2 exercises passed, no cells failed" in said
    assert {name: (laid / name).read_bytes() for name in files(laid)} == before


@pytest.mark.parametrize("name", ["1", "01", "one", "One", "01_one", "0_start/01_one.ipynb"])
def test_check_knows_a_lesson_by_its_names(laid, run, monkeypatch, name):
    monkeypatch.chdir(laid / "1_next")
    monkeypatch.setattr("mlcourse.cli.execute", lambda *args: ([], ""))
    assert run("check", name) == (0, " 0 of 0 exercises passed, no cells failed. ")


def test_check_passes_in_the_notebooks_folder_with_the_courses_style(laid, run):
    change(laid / "0_start/01_one.ipynb", "answer = 1", "import os; assert os.getcwd().endswith('0_start')\n"
           "assert os.environ['MATPLOTLIBRC'] == os.path.abspath('../matplotlibrc'); print('x' * 10**6)")  # fmt: skip
    assert run("check", "one", "--dir", laid)[0] == 0


def test_check_names_the_cell_and_line_that_raised(laid, run):
    cells = [
        "# Two",
        "def f(x):\n    return 1 / x",
        "y = 1\n# then\nf(0)",
        "a = = 1",
        "#| eval: false\n1 / 0",
        "open('no')",
    ]
    (laid / "1_next/02_two.ipynb").write_text(made_course.notebook(*cells))
    code, said = run("check", "two", "--dir", laid)
    assert code == 1 and "3 cells failed" in said
    assert "Cell [2], line 3: f(0) ZeroDivisionError: division by zero" in said
    assert "Cell [3], line 1: a = = 1 SyntaxError: invalid syntax" in said
    assert "Cell [4], line 1: open('no') FileNotFoundError" in said


@pytest.mark.parametrize(
    "cell, word", [("while True: pass", "longer than 1 s"), ("import os; os._exit(3)", "ended the kernel")]
)
def test_check_stops_at_an_endless_or_deadly_cell(laid, run, cell, word):
    (laid / "1_next/02_two.ipynb").write_text(made_course.notebook("# Two", "1", cell, "2"))
    code, said = run("check", "two", "--dir", laid, "--timeout", 1)
    assert code == 1 and "Cell [2]" in said and word in said


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}', "\0\1", made_course.notebook("# a", "b")[:90]]
)
def test_a_damaged_notebook_cannot_run_and_says_the_mend(laid, run, text):
    (laid / "1_next/02_two.ipynb").write_text(text)
    code, said = run("check", "two", "--dir", laid)
    assert code == 2 and "is damaged or not a notebook" in said and "rename it, and `mlcourse learn`" in said


def test_what_cannot_be_found_is_said(laid, nbs, run, tmp_path, monkeypatch):
    assert run("check", "nine", "--dir", laid)[0] == 2
    assert "index, 01 one, 02 two" in run("check", "nine", "--dir", laid)[1]
    (laid / "1_next/02_two.ipynb").unlink()
    code, said = run("check", "two", "--dir", laid)
    assert code == 2 and "`mlcourse learn` lays" in said
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for command in (["status"], ["check", "one"], ["update"], ["reset", "one-1"]):
        code, said = run(*command)
        assert code == 2 and "`mlcourse learn` makes one" in said


def test_reset_puts_the_starter_back_and_keeps_the_answer(laid, run):
    from mlcourse.exercises.progress import Progress

    lesson, record = laid / "1_next/02_two.ipynb", Progress(laid)
    for answer in ("42", "43"):
        change(lesson, "answer = ____", f"answer = {answer}")
        record.record("two-1", "passed")
        record.record("two-2", "passed")
        code, said = run("reset", "two-1", "--dir", laid)
        assert code == 0 and "Your answer is kept in" in said
        assert sources(lesson)[2] == START and list(record.read()) == ["two-2"]
    kept = sorted((laid / ".mlcourse" / "answers").iterdir())
    assert [p.read_text() for p in kept] == [START.replace("____", a) for a in ("42", "43")]
    assert "tries and hints are forgotten" in run("reset", "two-1", "--dir", laid)[1]


def test_reset_says_why_it_cannot(laid, run):
    assert "Lesson 02 two has no exercise 'two-9'" in run("reset", "Two-9", "--dir", laid)[1]
    assert "no exercise 'two'" in run("reset", "two", "--dir", laid)[1]
    (laid / "1_next/02_two.ipynb").write_text(made_course.notebook("# Two", "x = 1"))
    code, said = run("reset", "two-1", "--dir", laid)
    assert code == 2 and 'no cell with check("two-1", …) any more' in said


class Asked:
    def __init__(self, id):
        self.id, self.title = id, f"Title of {id}"


def test_status_counts_by_stage_and_names_what_comes_next(laid, run, monkeypatch):
    from mlcourse.exercises.progress import Progress

    has = {"one": ["one-1"], "two": ["two-1", "two-2"]}
    monkeypatch.setattr(
        "mlcourse.exercises.engine.exercises", lambda name: tuple(map(Asked, has.get(name, [])))
    )
    monkeypatch.chdir(laid / "1_next")
    assert "0 start 01" in run("status")[1] and "Next: one-1, Title of one-1" in run("status")[1]
    for id in ("one-1", "two-2"):
        Progress(laid).record(id, "passed")
    code, said = run("status")
    assert (
        code == 0
        and "1 of 1" in said
        and "1 of 2" in said
        and "Next: two-1, Title of two-1, in 1_next/02_two.ipynb" in said
    )
    Progress(laid).record("two-1", "passed")
    assert "Every exercise is passed" in run("status")[1]


def test_status_survives_half_a_progress_file(laid, run):
    (laid / ".mlcourse" / "progress.json").write_text('{"version": 1, "exerc')
    code, said = run("status", "--dir", laid)
    assert code == 0 and "was damaged. It is kept as progress.damaged-" in said


def test_doctor_finds_what_is_wrong_and_says_the_mend(laid, run, monkeypatch):
    from mlcourse import doctor

    (laid / ".mlcourse" / "progress.json").write_text('{"version": 1, "exerc')
    (laid / "1_next/02_two.ipynb").write_text("{")
    monkeypatch.setattr(
        doctor, "requires", lambda name: ["rich>=999", "no-such-thing>=1", "typer", "x; extra == 'dev'"]
    )
    monkeypatch.setattr("mlcourse.data.load", lambda table: 1 / 0)
    code, said = run("doctor", "--dir", laid)
    assert code == 1 and "ok python" in said and "ok kernel" in said and "ok folder" in said
    assert "no-such-thing is missing" in said and "wanted >=999" in said and "python start.py" in said
    assert "wrong data" in said and said.count("delete .venv and run `python start.py`") == 2
    assert "wrong lessons 1 cannot be read" in said and "rename it" in said
    assert "wrong progress" in said and "was damaged" in said


def test_doctor_looks_at_the_folder_that_is_named_or_says_that_it_is_none(nbs, run):
    code, said = run("doctor", "--dir", "nowhere")
    assert code == 2 and "There is no course folder at" in said and "ok" not in said.split()


NOT_WRITTEN = PermissionError(13, "Permission denied", "probe")


@pytest.mark.parametrize("what, name, fake, mend", [
    ("python", "metadata", lambda name: {"Requires-Python": ">=99"}, "The course needs Python >=99"),
    ("kernel", "execute", lambda *args: ([], "No kernel starts."), "It should run"),
    ("disk", "shutil.disk_usage", lambda place: SimpleNamespace(free=9e8), "free some space"),
    ("folder", "write", lambda *args: (_ for _ in ()).throw(NOT_WRITTEN), "No right to write probe"),
    (None, "write", folder.write, ""),
])  # fmt: skip
def test_doctor_sees_each_fault_by_itself(laid, run, monkeypatch, what, name, fake, mend):
    cell = SimpleNamespace(outputs=[{"data": {"text/plain": repr(sys.prefix)}}])
    monkeypatch.setattr("mlcourse.doctor.execute", lambda *args: ([cell], ""))
    monkeypatch.setattr(f"mlcourse.doctor.{name}", fake)
    code, said = run("doctor", "--dir", laid)
    assert code == bool(what) and mend in said
    assert re.findall(r"wrong (\w+)", said) == [what] * bool(what)


def test_check_of_a_notebook_elsewhere_names_where_it_lies(laid, run, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "01_one.ipynb").write_bytes((laid / "0_start/01_one.ipynb").read_bytes())
    monkeypatch.chdir(laid)
    code, said = run("check", "../other/01_one.ipynb")
    assert code == 2 and f"There is no course folder at {other}" in said


def test_simulate_refuses_a_registry_without_its_service(nbs, run):
    code, said = run("simulate", "--registry", "nodir", "--days", 1)
    assert code == 2 and "--registry is that of the service at --url" in said


def test_no_colour_and_narrow_terminal(laid, run, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("mlcourse.cli.execute", lambda *args: ([], ""))
    monkeypatch.setattr("mlcourse.exercises.engine.exercises", lambda name: (Asked("one-1"),))
    main(["check", "one", "--dir", str(laid)])
    text = capsys.readouterr().out
    assert "\x1b" not in text and max(map(len, text.splitlines()[:-2])) <= 40


def test_the_unforeseen_is_a_sentence_too(laid, run, monkeypatch):
    monkeypatch.setattr("mlcourse.cli.find", lambda name: 1 / 0)
    code, said = run("check", "one", "--dir", laid)
    assert code == 1 and "ZeroDivisionError" in said and "mlcourse doctor" in said


def solve(path, asked):
    """Type the first right answer of each exercise into a learner's notebook."""
    notebook = folder.read(path)
    for cell in notebook["cells"]:
        for exercise in asked:
            if f'check("{exercise.id}"' in cell["source"]:
                assert exercise.starter.strip() in cell["source"], (
                    f"{exercise.id}: the lesson shows another starter"
                )
                cell["source"] = cell["source"].replace(
                    exercise.starter.strip(), exercise.solutions[0].strip()
                )
    folder.write(path, notebook)


def test_a_real_lesson_is_to_do_and_then_passed(tmp_path, run):
    from mlcourse.exercises.engine import exercises

    lesson = next(p for p in LESSONS if p.stem == "06_frame").relative_to(ROOT / "nbs")
    asked = exercises("frame")
    processes = []
    for name in ("fresh", "solved"):  # both at once: a real lesson takes its time
        assert run("learn", tmp_path / name, "--no-start")[0] == 0
        if name == "solved":
            solve(tmp_path / name / lesson, asked)
        command = [sys.executable, "-m", "mlcourse", "check", "06", "--dir", str(tmp_path / name)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    fresh, solved = (p.communicate()[0] for p in processes)
    assert [p.returncode for p in processes] == [1, 0], fresh + solved
    assert fresh.count(" to do ") == len(asked) >= 3
    assert f"0 of {len(asked)} exercises passed, no cells failed" in fresh
    assert f"{len(asked)} of {len(asked)} exercises passed, no cells failed" in solved
    assert f"{len(asked)} of {len(asked)}" in run("status", "--dir", tmp_path / "solved")[1]
