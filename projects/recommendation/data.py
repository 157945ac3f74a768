"""Films, users and what they saw: MovieLens from GroupLens' own files, and a simulated service whose truth is known."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import urllib.request
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

# Published counts (ratings, users, films of the catalogue) and, where the file is frozen, GroupLens' own MD5 of the zip.
PUBLISHED = {
    "ml-100k": ((100_000, 943, 1_682), "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": ((1_000_209, 6_040, 3_883), "c4d9eecfca2ab87c1945afe126590906"),
    "ml-latest-small": ((100_836, 610, 9_742), None),
    "ml-32m": ((32_000_204, 200_948, 87_585), "d472be332d4daa821edc399621853b57"),
}
HOME = "https://files.grouplens.org/datasets/movielens/"
GENRES = (
    "unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()  # the 19 flags of u.item, in its order
FORMS = {"u.data": "u.item", "ratings.dat": "movies.dat", "ratings.csv": "movies.csv"}


class Films(NamedTuple):
    """A data set: ratings (user, film, rating, time in seconds), films by id (title, year, age limit, genres as 0/1)."""

    ratings: pd.DataFrame
    films: pd.DataFrame
    name: str = ""  # of the published set whose counts it has; empty for any other


def movielens(path: str | Path, name: str | None = None) -> Films:
    """MovieLens from a folder or zip in any of GroupLens' three forms (`u.data`, `ratings.dat`, `ratings.csv`).

    With `name`, such as "ml-100k", the published counts must hold: some public mirrors were altered. Raises
    FileNotFoundError if there is no such file, ValueError for other counts, ratings out of range or unknown films.
    """
    if name is not None and name not in PUBLISHED:
        raise ValueError(f"name must be one of {', '.join(PUBLISHED)}, got {name!r}")
    with ExitStack() as closing:
        open_, form = _files(Path(path), closing)
        ratings, films = {"u.data": _tabs, "ratings.dat": _colons, "ratings.csv": _commas}[form](open_)
    counts = len(ratings), ratings.user.nunique(), len(films)
    if name and counts != PUBLISHED[name][0]:
        raise ValueError(
            f"path must hold {name} with (ratings, users, films) {PUBLISHED[name][0]}, got {counts}: "
            f"the copy was altered or cut short; take it from {HOME}"
        )
    known = next((n for n, (published, _) in PUBLISHED.items() if published == counts), "")
    return Films(clean(ratings, films), films, known)


def _files(path, closing):  # a function that opens a file by its bare name, and which form it is
    if path.is_dir():
        found = {p.name: p for p in sorted(path.rglob("*"), reverse=True) if p.is_file()}
        opened = lambda name: closing.enter_context(found[name].open("rb"))
    elif path.is_file():
        if not zipfile.is_zipfile(path):
            raise ValueError(f"path must be a folder or a zip, got {path}: it is neither, or was cut short")
        archive = closing.enter_context(zipfile.ZipFile(path))
        found = {Path(n).name: n for n in archive.namelist() if not n.startswith("__MACOSX")}
        opened = lambda name: closing.enter_context(archive.open(found[name]))
    else:
        raise FileNotFoundError(f"path must be a folder or a zip of MovieLens, got {path}: there is none")
    form = next((f for f, films in FORMS.items() if f in found and films in found), None)
    if form is None:
        pairs = ", ".join(f"{a} with {b}" for a, b in FORMS.items())
        raise FileNotFoundError(f"path must hold {pairs}; {path} has none of them")
    return opened, form


COLUMNS = ["user", "film", "rating", "time"]


def _tabs(open_):
    ratings = pd.read_csv(open_("u.data"), sep="\t", names=COLUMNS)
    table = pd.read_csv(open_("u.item"), sep="|", header=None, encoding="latin-1", quoting=3)
    films = pd.DataFrame({"film": table[0], "title": table[1]})
    return ratings, _catalogue(films, table.iloc[:, 5:].set_axis(GENRES[: table.shape[1] - 5], axis=1))


def _colons(open_):
    ratings = pd.read_csv(
        io.BytesIO(open_("ratings.dat").read().replace(b"::", b"\t")), sep="\t", names=COLUMNS
    )
    lines = [line.split("::") for line in open_("movies.dat").read().decode("latin-1").splitlines() if line]
    films = pd.DataFrame(lines, columns=["film", "title", "genres"]).astype({"film": int})
    return ratings, _catalogue(films[["film", "title"]], films.genres.str.get_dummies("|"))


def _commas(open_):
    kinds = {"userId": int, "movieId": int, "rating": float, "timestamp": int}
    ratings = pd.read_csv(open_("ratings.csv"), dtype=kinds).set_axis(COLUMNS, axis=1)
    films = pd.read_csv(open_("movies.csv")).set_axis(["film", "title", "genres"], axis=1)
    genres = films.genres.str.get_dummies("|").drop(columns="(no genres listed)", errors="ignore")
    return ratings, _catalogue(films[["film", "title"]], genres)


def _catalogue(films, genres):
    # MovieLens has no age limits: only what is filed under Children's is taken to be fit for all.
    child = genres.columns[genres.columns.str.startswith("Child")]
    age = np.where(genres[child].any(axis=1), 0, 18)
    year = films.title.str.extract(r"\((\d{4})\)\s*$")[0].astype(float)
    table = pd.concat([films.assign(year=year, age=age), genres.astype(np.int8)], axis=1)
    return table.set_index("film").sort_index()


def clean(ratings: pd.DataFrame, films: pd.DataFrame, low: float = 0.5, high: float = 5) -> pd.DataFrame:
    """Ratings whose ids are numbers (text such as "17" is read as one), each user and film once, the latest; order kept.

    Raises ValueError for a missing column, an id that is no whole number, a film that the catalogue lacks, a rating
    outside low to high, or a missing value: each names the first that is wrong.
    """
    if lost := [c for c in COLUMNS if c not in ratings]:
        raise ValueError(
            f"ratings must have the columns {', '.join(COLUMNS)}, got none called {', '.join(lost)}"
        )
    ratings = ratings[COLUMNS].reset_index(drop=True)
    ratings = ratings.assign(**{c: whole(ratings[c], c) for c in ("user", "film")})
    for column, good in {
        "film": ratings.film.isin(films.index),
        "rating": ratings.rating.between(low, high),
        "time": ratings.time.notna(),
    }.items():
        if not good.all():
            rule = {"film": "in the catalogue", "rating": f"from {low} to {high}", "time": "known"}[column]
            bad = ratings.loc[~good, column]
            raise ValueError(
                f"{column} must be {rule}, got {bad.iloc[0]!r} in {len(bad):,} of {len(ratings):,} rows"
            )
    latest = ratings.sort_values("time", kind="stable").drop_duplicates(["user", "film"], keep="last")
    return ratings.loc[latest.index.sort_values()].reset_index(drop=True)


def whole(ids: pd.Series, name: str) -> pd.Series:
    """Ids as whole numbers, whatever they came as; ValueError names the first that is none."""
    numbers = pd.to_numeric(ids, errors="coerce")
    wrong = numbers.isna() | (numbers % 1 != 0)
    if wrong.any():
        raise ValueError(f"{name} must be a whole number, got {ids[wrong].iloc[0]!r} in {wrong.sum():,} rows")
    return numbers.astype(np.int64)


def download(name: str, folder: str | Path, home: str = HOME) -> Path:
    """Fetch a MovieLens zip from GroupLens into `folder`, on request only; its path. A file that is there is kept.

    What arrives must have GroupLens' MD5 where the set is frozen, and else the published counts; ValueError, and no
    file is left, if not. Licence: non-commercial, no redistribution; read the README inside.
    """
    if name not in PUBLISHED:
        raise ValueError(f"name must be one of {', '.join(PUBLISHED)}, got {name!r}")
    to = Path(folder) / f"{name}.zip"
    if to.exists():
        return to
    to.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=to.parent, suffix=".part")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(f"{home}{name}.zip", timeout=60) as web:
            while block := web.read(2**20):
                digest.update(block)
                file.write(block)
        _verify(name, digest.hexdigest(), part)
        os.replace(part, to)
    finally:
        Path(part).unlink(missing_ok=True)
    return to


def _verify(name, found, part):
    wanted = PUBLISHED[name][1]
    if wanted and found != wanted:
        raise ValueError(
            f"{name}.zip must have the MD5 {wanted}, got {found}: the copy was altered or cut short"
        )
    if not wanted:
        movielens(part, name)


def matrix(ratings: pd.DataFrame, users: pd.Index, films: pd.Index) -> sp.csr_matrix:
    """0/1 matrix (users, films) of what was seen; rows of users or films that are not in the index are left out."""
    row, col = users.get_indexer(ratings.user), films.get_indexer(ratings.film)
    known = (row >= 0) & (col >= 0)
    X = sp.csr_matrix((np.ones(known.sum()), (row[known], col[known])), (len(users), len(films)))
    X.data[:] = 1  # seen twice is seen
    return X


# The simulated service

KINDS = "Comedy Drama Thriller Adventure Romance Horror Mystery Musical".split()
FIRST = (
    "Silent Golden Broken Last Hidden Paper Winter Crimson Distant Hollow Electric Gentle Wild Velvet".split()
)
SECOND = "Harbour Letters Garden Engine River Mirror Orchard Signal Station Empire Waltz Lantern Island Summer".split()
MONTH = 30 * 86_400  # seconds


@dataclass(frozen=True)
class World:
    """A film service whose truth is known: who likes what, what was shown where, and what any screen is worth.

    A film is clicked if it is *shown* (exposure), *looked at* (the less the lower its slot) and *liked* (preference).
    Every month some films are released and some users join. All of it follows from `seed`.
    """

    users: int = 600
    films: int = 300
    months: int = 12
    slots: int = 10
    seed: int = 0
    click: float = (
        0.05  # dollars that a click on a screen is worth: an assumption of the brief, to be replaced by yours
    )

    def __post_init__(self):
        for name, least in {"users": 2, "films": 12, "months": 1, "slots": 1}.items():
            if isinstance(value := getattr(self, name), bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.slots > self.films // 4:
            raise ValueError(f"slots must be at most a quarter of {self.films} films, got {self.slots}")
        for name, value in _truth(self).items():
            object.__setattr__(self, name, value)

    @property
    def looked_at(self) -> np.ndarray:
        """Chance (slots,) that a user looks at a slot: 1 at the top, falling."""
        return (1 + np.arange(self.slots)) ** -0.7

    def open(self, month: int) -> np.ndarray:
        """Which films (films,) are released by a month."""
        return self.catalogue.month.to_numpy() <= month

    def clicks(self, users: np.ndarray, screens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Clicks (n, slots) of bool on screens (n, slots) of film positions (-1: empty) that these users (n,) were shown."""
        return rng.random(screens.shape) < self._chance(users, screens)

    def value(self, users: np.ndarray, screens: np.ndarray) -> np.ndarray:
        """Expected clicks (n,) of each screen: the truth that no log tells."""
        return self._chance(users, screens).sum(1)

    def _chance(self, users, screens):
        liked = self.preference[np.asarray(users)[:, None], np.maximum(screens, 0)]
        return liked * (screens >= 0) * self.looked_at[: screens.shape[1]]

    def log(self, screens: int = 3, pull: float = 1.0, seed: int = 1) -> Films:
        """What the old service left behind: clicks of all months on screens that showed what was popular (`pull`), by chance.

        Popularity feeds itself: shown is what was clicked before. A click is an event with a time and a rating.
        """
        rng, seen = np.random.default_rng(seed), np.zeros((self.users, self.films), bool)
        events = []
        for month in range(self.months):
            here = np.flatnonzero(self.joined <= month)
            for n in range(screens):
                wish = pull * np.log1p(seen.sum(0)) + rng.gumbel(size=(len(here), self.films))
                wish[seen[here] | ~self.open(month)] = -np.inf
                shown = np.argsort(-wish, axis=1)[:, : self.slots]
                who, slot = np.nonzero(self.clicks(here, shown, rng))
                user, film = here[who], shown[who, slot]
                seen[user, film] = True
                when = (month + (n + rng.random(len(user))) / screens) * MONTH
                events.append(
                    pd.DataFrame({"user": user, "film": film, "slot": slot, "time": when.astype(int)})
                )
        return Films(self.rated(pd.concat(events, ignore_index=True), rng), self.catalogue)

    def rated(self, events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Events with a rating of 1 to 5 stars: the better liked, the more."""
        liked = self.preference[events.user, events.film]
        stars = np.clip(np.rint(2 + 4 * liked + rng.normal(0, 0.8, len(events))), 1, 5)
        return events.assign(rating=stars)[[*COLUMNS, "slot"]].sort_values(
            "time", kind="stable", ignore_index=True
        )


def _truth(world):
    rng, n, m, kinds = np.random.default_rng(world.seed), world.users, world.films, len(KINDS)
    main, side = rng.integers(kinds, size=(2, m))
    genres = np.zeros((m, kinds))
    genres[np.arange(m), side] = genres[np.arange(m), main] = 1
    style = rng.normal(size=(m, 4))
    taste, finer = rng.normal(0, 1.3, (n, kinds)), rng.normal(0, 0.6, (n, 4))
    quality = rng.normal(0, 0.6, m)
    odds = -2.2 + taste @ (genres / genres.sum(1, keepdims=True)).T + finer @ style.T + quality
    month = np.where(rng.random(m) < 0.6, 0, rng.integers(0, world.months, m))
    joined = np.where(rng.random(n) < 0.5, 0, rng.integers(0, world.months, n))
    ages = rng.choice([0, 6, 12, 16, 18], m, p=[0.25, 0.2, 0.25, 0.2, 0.1])
    films = pd.DataFrame(
        {"title": _titles(m, rng), "year": 2000.0 + month // 12, "age": ages, "month": month}
    )
    films = pd.concat([films, pd.DataFrame(genres.astype(np.int8), columns=KINDS)], axis=1).rename_axis(
        "film"
    )
    return {"preference": 1 / (1 + np.exp(-odds)), "catalogue": films, "joined": joined}


def _titles(m, rng):
    names = [f"The {a} {b}" for a in FIRST for b in SECOND]
    order = rng.permutation(m)
    return [names[i % len(names)] + (f" {i // len(names) + 1}" if i >= len(names) else "") for i in order]
