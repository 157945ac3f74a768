"""Package metadata, read from settings.ini. Edit there, not here."""

import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
ini = ConfigParser(delimiters=["="])
ini.read(ROOT / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]


class WithLessons(build_py):
    """Put lessons and `deploy` into the wheel as mlcourse/nbs and mlcourse/deploy: the course needs no clone."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        for src in [*ROOT.glob("nbs/**/*.ipynb"), *ROOT.glob("nbs/matplotlibrc"), *ROOT.glob("deploy/**/*")]:
            hidden = any(part.startswith((".", "_")) for part in src.relative_to(ROOT).parts)
            if src.is_file() and not hidden:
                dst = Path(self.build_lib) / "mlcourse" / src.relative_to(ROOT)
                dst.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(src, dst)


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    keywords=cfg["keywords"].split(),
    license=cfg["license"],
    classifiers=["Development Status :: 3 - Alpha", "Framework :: Jupyter", "Typing :: Typed"],
    packages=find_packages(include=["mlcourse*"]),
    package_data={"mlcourse": ["py.typed", "exercises/card.*"]},
    install_requires=cfg["requirements"].split("\n"),
    extras_require={
        key.removesuffix("_requirements"): value.split("\n")
        for key, value in cfg.items()
        if key.endswith("_requirements")
    },
    entry_points={
        "console_scripts": cfg["console_scripts"].split("\n"),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"],
    },
    cmdclass={"build_py": WithLessons},
)
