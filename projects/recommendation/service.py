"""The film service over HTTP: the best films for anyone, at once after each click, with a reason and a poster for each.

python service.py [--port 8010] [--data FOLDER]        on this computer alone; without data, the simulated service
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import threading
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from data import World, matrix, movielens
from fastapi import FastAPI, HTTPException, Query, Response
from fastapi import Path as PathParam
from fastapi.responses import FileResponse
from measure import catalogue
from pydantic import BaseModel, Field
from rank import Ease, Lists, top

PAGE = Path(__file__).with_name("page.html")
UserId, Few, Age = (
    Annotated[int, PathParam(ge=0)],
    Annotated[int, Query(ge=0, le=1000)],
    Annotated[int, Query(ge=0, le=150)],
)
PATIENCE = 200  # the last films of a history that count: a history of any length costs the same


class Click(BaseModel):
    """A film that a user has just chosen."""

    film: int = Field(ge=0)


class Shelf:
    """State of the service: film lists, every user's history, and what was shown; safe to ask from several threads.

    With a `log` file every click is on disk before it is answered, and is there again after a restart; a line that was
    cut short by a crash is skipped.
    """

    def __init__(self, lists: Lists, films: pd.DataFrame, history: pd.DataFrame, log: Path | None = None):
        if lists.films != len(films):
            raise ValueError(
                f"films must be the {lists.films} films that were learned from, got {len(films)}"
            )
        self.lists, self.films, self.log, self.lock = lists, films, log, threading.Lock()
        self.place = {int(f): i for i, f in enumerate(films.index)}
        self.seen: dict[int, dict[int, None]] = {}
        self.shown = np.zeros(len(films), int)
        self.lately = np.zeros(len(films), int)  # clicks since the start
        self.age = films.age.to_numpy() if "age" in films else np.full(len(films), 18)
        for user, film in zip(history.user, history.film, strict=True):
            self._add(int(user), int(film))
        if log and log.exists():
            self._replay()

    def _replay(self):
        text = self.log.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):  # a torn line: the next click begins a new one
            self._append("\n")
        for line in text.splitlines():
            try:
                event = json.loads(line)
                self._add(int(event["user"]), int(event["film"]))
            except (ValueError, KeyError, TypeError):
                continue

    def _append(self, text):
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _add(self, user, film):
        if film in self.place:  # a catalogue may have shrunk since
            mine = self.seen.setdefault(user, {})
            mine.pop(self.place[film], None)
            mine[self.place[film]] = None  # the latest last, each once

    def click(self, user: int, film: int) -> None:
        """Note a click: it counts from the next answer on. KeyError for a film that is not in the catalogue."""
        place = self.place[film]
        with self.lock:
            if self.log:
                self._append(json.dumps({"user": user, "film": film}) + "\n")
            self.lately[place] += 1
            self._add(user, film)

    def history(self, user: int) -> np.ndarray:
        """Positions of the films a user has seen, the latest last; none for an unknown user."""
        with self.lock:
            return np.fromiter(self.seen.get(user, ()), int)

    def best(self, user: int, k: int, age: int) -> list[dict]:
        """The k best films that are open to `age` and not seen, each with the film of the history that speaks most for it."""
        had = self.history(user)
        scores = self.lists.score_one(had[-PATIENCE:])
        allowed = self.age <= age
        allowed[had] = False
        found = top(scores[None], k, allowed=allowed)[0]
        found = found[found >= 0]
        with self.lock:
            self.shown[found] += 1
        return [self.card(i, had) for i in found]

    def card(self, place: int, had: np.ndarray) -> dict:
        """What the page shows of a film."""
        film = self.films.iloc[place]
        because = [self.films.title.iloc[i] for i, _ in self.lists.why(had[-PATIENCE:], place)[:1]]
        why = f"because you chose {because[0]}" if because else "because many choose it"
        return {
            "film": int(self.films.index[place]),
            "title": film.title,
            "age": int(self.age[place]),
            "why": why,
        }


def make_app(shelf: Shelf) -> FastAPI:
    """The service as an application of FastAPI."""
    app = FastAPI(title="Films", docs_url=None, redoc_url=None)

    @app.get("/")
    def page():
        return FileResponse(PAGE, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"})

    @app.get("/users/{user}/top")
    def best(user: UserId, k: Few = 10, age: Age = 99):
        had = shelf.history(user)
        return {"user": user, "known": len(had) > 0, "seen": len(had), "films": shelf.best(user, k, age)}

    @app.post("/users/{user}/clicks", status_code=201)
    def click(user: UserId, chosen: Click):
        _known(shelf, chosen.film)
        shelf.click(user, chosen.film)
        return {"user": user, "seen": len(shelf.history(user))}

    _explain(app, shelf)
    return app


def _explain(app, shelf):
    @app.get("/users/{user}/why/{film}")
    def why(user: UserId, film: int):
        pulls = shelf.lists.why(shelf.history(user)[-PATIENCE:], _known(shelf, film))
        total = sum(pull for _, pull in pulls) or 1
        reasons = [
            {"title": shelf.films.title.iloc[i], "share": round(pull / total, 3)} for i, pull in pulls[:5]
        ]
        return {"film": film, "because": reasons, "views": int(shelf.lists.seen_[shelf.place[film]])}

    @app.get("/posters/{film}.svg")
    def poster(film: int):
        drawn = draw(shelf.films.iloc[_known(shelf, film)])
        return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    @app.get("/health")
    def health():
        return {"films": len(shelf.films), "users": len(shelf.seen)}

    @app.get("/monitor")
    def monitor():
        return {"clicks": int(shelf.lately.sum())} | catalogue(
            np.repeat(np.arange(len(shelf.shown)), shelf.shown), shelf.lists.seen_
        )


def _known(shelf, film):
    if film not in shelf.place:
        raise HTTPException(404, f"film must be in the catalogue of {len(shelf.films):,} films, got {film}")
    return shelf.place[film]


def draw(film: pd.Series) -> str:
    """A poster (SVG text, 200 x 300) made from a film's title and genres: the same film, the same poster."""
    title = str(film.title)
    genres = [g for g, on in film.items() if on == 1 and g not in ("title", "year", "age", "month")]
    hue = hashlib.sha256("".join(genres[:1]).encode()).digest()[0] * 360 // 256
    lines = enumerate(_wrapped(title, 15)[:4])
    text = "".join(
        f'<text x="16" y="{222 + 22 * n}" class="t">{html.escape(line)}</text>' for n, line in lines
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 300" role="img">'
        f"<title>{html.escape(title)}</title>"
        "<style>.t{font:700 17px sans-serif;fill:#fff}.g{font:12px sans-serif;fill:#ddd}</style>"
        f'<rect width="200" height="300" fill="hsl({hue} 45% 22%)"/>{_shapes(title, hue)}'
        f'<rect y="195" width="200" height="105" fill="#0008"/>{text}'
        f'<text x="16" y="290" class="g">{html.escape(" · ".join(genres[:2]))}</text></svg>'
    )


def _shapes(title, hue):
    dice, shapes = hashlib.sha256(title.encode()).digest(), []
    for n in range(5):
        x, y, r = 20 + dice[n] * 160 // 255, 30 + dice[n + 5] * 150 // 255, 12 + dice[n + 10] * 50 // 255
        look = f'fill="hsl({(hue + (40 if n % 2 else 180)) % 360} 65% 65%)" opacity=".55"'
        circle = f'<circle cx="{x}" cy="{y}" r="{r}" {look}/>'
        turn = f"rotate({dice[n + 15]} {x} {y})"
        bar = f'<rect x="{x - r}" y="{y - 8}" width="{2 * r}" height="16" {look} transform="{turn}"/>'
        shapes.append(bar if dice[n + 20] % 2 else circle)
    return "".join(shapes)


def _wrapped(title, width):
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()[: width + 1]
    return lines


def shelf_from(data: str | None = None, log: Path | None = None) -> Shelf:
    """A service ready to ask: from a MovieLens folder, or from the simulated service."""
    ratings, films, _ = movielens(data) if data else World().log()
    users = pd.Index(np.sort(ratings.user.unique()))
    lists = Lists(Ease(300 if data else 100)).fit(matrix(ratings, users, films.index))
    return Shelf(lists, films, ratings, log)


def main() -> None:
    """Serve, as the command line says."""
    import uvicorn

    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--port", type=int, default=8010)
    options.add_argument(
        "--data", metavar="FOLDER", help="a MovieLens folder or zip; else the simulated service"
    )
    options.add_argument(
        "--log", type=Path, metavar="FILE", help="keep clicks here, and read them again at the start"
    )
    given = options.parse_args()
    uvicorn.run(make_app(shelf_from(given.data, given.log)), host="127.0.0.1", port=given.port)


if __name__ == "__main__":
    main()
