"""What a simulated half-year looks like: a view in the terminal, the same as a web page, and the post-mortem."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mlcourse.asgi import ALONE
from mlcourse.report import STYLE, figure, money, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlcourse.simulate import Score

SPARKS = "▁▂▃▄▅▆▇█"
SAVED, LOST = "#009e73", "#d55e00"  # Okabe and Ito's green and vermilion


def _when(text: str | None, hour: bool = True) -> str:
    return "never" if text is None else text[: 16 if hour else 10].replace("T", " ")


def _by(row: dict[str, Any]) -> str:
    return "the operator" if row["mended"] else "itself" if row["over"] and row["end"] else "nobody"


def _lost(row: dict[str, Any]) -> str:
    return "not measured" if row["lost"] is None else money(row["lost"])


def _incident(row: dict[str, Any]) -> dict[str, str]:
    late = "not noticed" if row["hours"] is None else f"after {row['hours']} h"
    return {
        "Incident": row["name"] + (f" ({row['where']})" if row["where"] else ""), "From": _when(row["start"]),
        "Until": _when(row["end"]) if row["end"] else "goes on", "Ended by": _by(row), "Noticed": late,
        "Lost": _lost(row),
    }  # fmt: skip


# ---------------------------------------------------------------- in the terminal


def _action(row: dict[str, Any]) -> dict[str, str]:
    return {
        "At": _when(row["at"]),
        "Action": f"{row['kind']} {row['target'][:40]}".strip(),
        "Why": row["why"],
    }


def _facts(now: dict[str, Any]) -> str:
    off = f" Switched off: {', '.join(now['off'])}." if now["off"] else ""
    return (
        f"{_when(now['now'])} UTC. Last day: {now['flights']:,} flights, {now['acts']:,} acts, "
        f"{now['unanswered']:,} unanswered. False alarms: {now['false_alarms']}.{off}"
    )


def _sparks(daily: list[float]) -> Iterator[tuple[str, str, str]]:
    # What days saved, and what they lost: a row each, so that it shows without colours too
    top = max(*map(abs, daily), 1.0)
    for sign, word, style in ((1, "saved", SAVED), (-1, "lost ", LOST)):
        bars = (SPARKS[min(7, int(7.99 * sign * d / top))] if sign * d > 0 else " " for d in daily[-60:])
        yield word, "".join(bars), style


def _listed(title: str, rows: list[dict[str, str]]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in rows[0]:
        shown.add_column(name, overflow="ellipsis", no_wrap=name != "Why")
    for row in rows:
        shown.add_row(*map(Text, row.values()))
    return shown


def view(now: dict[str, Any]) -> RenderableType:
    """A snapshot of `simulate.play` for the terminal: money, the days so far, incidents that are known, what was done."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    kind, style = ("saved", SAVED) if now["money"] >= 0 else ("lost", LOST)
    parts = [
        Text.assemble(
            (f"{money(abs(now['money']))} {kind}", f"bold {style}"), " against a desk that never acts"
        ),
        Text(f"Day {now['day']} of {now['days']}, {_facts(now)}"),
        Text.assemble(
            ("━" * (played := 60 * now["day"] // now["days"]), "#56b4e9"), ("━" * (60 - played), "dim")
        ),
        *(Text.assemble((f"{word} ", "dim"), (bars, style)) for word, bars, style in _sparks(now["daily"])),
    ]
    tables = {"Incidents noticed or over": [*map(_incident, now["incidents"])][-6:],
              "Last actions": [*map(_action, now["actions"])][-6:]}  # fmt: skip
    for title, rows in tables.items():
        parts += [Text(""), _listed(title, rows)] if rows else []
    if now["told"]:
        parts += [Text(""), Text("What went wrong", "italic"), Text("\n".join(now["told"][-4:]), LOST)]
    return Panel(
        Group(*parts), title=f"{now['operator']} on {now['scenario']}, seed {now['seed']}", border_style="dim"
    )


# ---------------------------------------------------------------- the same as a web page

PAGE = """<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>mlcourse simulate</title><style>{style}
progress {{ width: 100%; accent-color: var(--blue) }}
#days {{ display: grid; grid-template-rows: 5rem 5rem; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 0 1px; margin: 1rem 0 }}
#days i {{ grid-row: 1; align-self: end; background: var(--green); border-bottom: 1px solid var(--soft) }}
#days i.loss {{ grid-row: 2; align-self: start; background: var(--red); border-top: 1px solid var(--soft); border-bottom: 0 }}
</style></head><body><main><h1 id=title>mlcourse simulate</h1>
<p class=money id=money>$0</p><p class=between>against a desk that never acts</p><p id=facts>Waiting for the first day.</p>
<progress id=progress max=1 value=0 aria-label="days played"></progress>
<div id=days role=img aria-label="dollars a day"></div><p class=between id=says></p>
<h2>Incidents noticed or over</h2><div id=incidents></div><h2>Last actions</h2><div id=actions></div>
<h2>What went wrong</h2><ul id=told></ul><p id=live role=status aria-live=polite></p></main><script>
const $ = id => document.getElementById(id), text = (tag, says) => Object.assign(document.createElement(tag), {{textContent: says}});
const table = (rows, caption) => {{ if (!rows.length) return text('p', 'None.'); const t = document.createElement('table');
  t.createCaption().textContent = caption; const head = t.createTHead().insertRow(), body = t.createTBody();
  for (const n in rows[0]) {{ const th = text('th', n); th.scope = 'col'; head.append(th) }}
  for (const r of rows) {{ const tr = body.insertRow(); for (const n in r) tr.insertCell().textContent = r[n] }}
  const wide = document.createElement('div'); Object.assign(wide, {{className: 'wide', tabIndex: 0}});
  wide.setAttribute('role', 'region'); wide.setAttribute('aria-label', caption); wide.append(t); return wide }};
let shown = '';
function show(p) {{ for (const id of ['title', 'money', 'facts', 'says']) $(id).textContent = p[id];
  document.title = p.money + ', ' + p.title; $('progress').value = p.share; $('days').setAttribute('aria-label', p.says);
  const top = Math.max(1, ...p.daily.map(Math.abs)); $('days').replaceChildren(...p.daily.map((d, k) => {{
    const i = document.createElement('i'); i.style.gridColumn = k + 1; i.style.height = 100 * Math.abs(d) / top + '%';
    if (d < 0) i.className = 'loss'; return i }}));
  const news = JSON.stringify([p.incidents, p.actions, p.told]); if (news === shown) return; shown = news;
  $('incidents').replaceChildren(table(p.incidents, 'Incidents, the newest last'));
  $('actions').replaceChildren(table(p.actions, 'Actions, the newest last'));
  $('told').replaceChildren(...(p.told.length ? p.told : ['Nothing.']).map(t => text('li', t)));
  $('live').textContent = p.incidents.length + ' incidents, ' + p.false_alarms + ' false alarms.' }}
async function look() {{ try {{ const now = await (await fetch('now')).json(); if (now.page.title) show(now.page);
  if (now.page.share >= 1) {{ $('live').textContent = 'The last day is played.'; return }}
  }} catch (error) {{ $('live').textContent = 'The simulator has ended.'; return }} setTimeout(look, 500) }}
look();</script></body></html>"""


def as_page(now: dict[str, Any]) -> dict[str, Any]:
    """A snapshot in the words that the web page shows."""
    losses, kind = sum(d < 0 for d in now["daily"]), "saved" if now["money"] >= 0 else "lost"
    return {
        "title": f"{now['operator']} on {now['scenario']}, seed {now['seed']}: day {now['day']} of {now['days']}",
        "money": f"{money(abs(now['money']))} {kind}", "share": now["day"] / now["days"], "facts": _facts(now),
        "daily": now["daily"], "told": now["told"], "false_alarms": now["false_alarms"],
        "says": f"Dollars a day: the last one {money(now['daily'][-1])}; {losses} of {len(now['daily'])} lost money.",
        "incidents": [*map(_incident, now["incidents"])][-12:], "actions": [*map(_action, now["actions"])],
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        kinds = {"/": ("text/html", PAGE.format(style=STYLE)), "/now": ("application/json", None)}
        kind, body = kinds.get(self.path, ("text/plain", "There is only / here."))
        body = (json.dumps({"page": self.server.now}) if body is None else body).encode()
        self.send_response(200 if self.path in kinds else 404)
        for name, value in ALONE.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def web(port: int = 0) -> Iterator[tuple[str, Any]]:
    """A small server on this computer alone: its address, and a function that shows a snapshot on its page."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    except OSError as error:
        raise ValueError(
            f"port must be one that is free to you, got {port} ({error.strerror}); 0 takes one"
        ) from error
    server.daemon_threads, server.now = True, {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", lambda now: setattr(server, "now", as_page(now))
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- the post-mortem


def compared(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """A row for each score: who (the first is the run itself), net savings, and what it is made of."""
    first, *others = scores
    same = any(first.operator == other.operator for other in others)
    rows = []
    for score in (first, *others):
        acts = -sum(v for k, v in score.parts.items() if k not in ("flights", "unanswered", "late", "copies"))
        seen = [i["hours"] for i in score.incidents if i["hours"] is not None]
        rows.append({
            "Operator": score.operator + " (this run)" * (same and score is first), "Net savings": money(score.money), "Flights": money(score.parts.get("flights", 0.0)),
            "Downtime and lateness": money(-sum(score.parts.get(k, 0.0) for k in ("unanswered", "late", "copies"))), "Actions": money(acts),
            "Noticed": f"{len(seen)} of {len(score.incidents)}", "False alarms": score.false_alarms,
            "Delay": f"{sum(seen) / len(seen):.0f} h" if seen else "none",
        })  # fmt: skip
    return rows


def _bands(ax: Any, score: Score) -> None:
    import numpy as np

    for i in score.incidents:
        ax.axvspan(
            *(np.datetime64(i[end][:16]) for end in ("start", "end")), color="#d55e00", alpha=0.18, lw=0
        )
    for d in score.decoys:
        first, last = (np.datetime64(d[end]) for end in ("first", "last"))
        ax.axvspan(first, last + 1, facecolor="none", edgecolor="#888888", hatch="//", lw=0)


def _line(score: Score) -> str:
    import numpy as np
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    day = np.datetime64(score.first) + np.arange(len(score.daily))
    total, hour = np.cumsum(score.daily) / 1e6, np.timedelta64(1, "h")

    def draw(ax):
        _bands(ax, score)
        ax.plot(day + np.timedelta64(1, "D"), total, color="#0072b2")
        at = np.array([a["at"][:16] for a in score.actions], "M8[m]")
        height = np.interp((at - day[0]) / hour, (np.arange(len(day)) + 1) * 24.0, total)
        ax.plot(at, height, "v", color="#009e73", markersize=5)
        ax.set(ylabel="net savings (million $)")
        ax.xaxis.set_major_formatter(ConciseDateFormatter(AutoDateLocator()))

    worst = max(score.incidents, key=lambda i: i["lost"] or 0, default=None)
    title = "No incident cost anything" if worst else "No incident struck on these days"
    if worst and worst["lost"] is None:
        title = "What incidents cost was not measured"
    elif worst and worst["lost"] > 0:  # a service better than the yardstick may gain
        title = f"{worst['name']} cost most: {money(worst['lost'])}"
    says = (
        f"Net savings end at {money(score.money)} after {len(day)} days. Shaded: {len(score.incidents)} incidents while they "
        f"lasted; hatched: {len(score.decoys)} decoys; triangles: {len(score.actions)} actions."
    )
    rows = [{"Day": str(d), "Dollars": round(v)} for d, v in zip(day, score.daily, strict=True)]
    return figure("line", title, says, draw, rows)


def _told(incident: dict[str, Any], careful: dict[str, Any] | None) -> dict[str, Any]:
    delay = lambda i: "never" if i["hours"] is None else f"{i['hours']} h"
    row = {
        "Incident": incident["name"], "Where": incident["where"], "From": _when(incident["start"]), "Until": _when(incident["end"]),
        "Ended by": _by(incident), "Noticed after": delay(incident), "Lost": _lost(incident),
    }  # fmt: skip
    return row | (
        {"Careful noticed after": delay(careful), "Careful lost": _lost(careful)} if careful else {}
    )


def _section(title: str, caption: str, rows: list[dict[str, Any]], none: str = "") -> str:
    if not rows:
        return f"<h2>{title}</h2><p>{none}</p>" if none else ""
    shown = table(caption, rows)
    if len(rows) > 24:
        shown = f"<details><summary>All {len(rows)}</summary>{shown}</details>"
    return f"<h2>{title}</h2>{shown}"


def _deeds(score: Score) -> list[dict[str, str]]:
    return [_action(a) | {"Cost": money(a["dollars"])} for a in score.actions]


def _list(told: list[str]) -> str:
    first, more = (told[:12] or ["Nothing."]), told[12:]
    items = lambda texts: f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
    return items(first) + (
        f"<details><summary>{len(more)} more</summary>{items(more)}</details>" if more else ""
    )


def _beyond(score: Score, others: list[Score]) -> str:
    # What earns a tenth more than the oracle may be a better model, or one that has seen the days it is asked for
    best = next((o.money for o in others if o.operator == "oracle"), None)
    if best is None or score.money < best + 0.1 * abs(best):
        return ""
    more = f"{money(score.money - best)} more than the course's own service earns under an operator that knows the calendar"
    return f"<p>{more}. A better model may; so does one that has seen these days: look at what it has learned from.</p>"


def postmortem(score: Score, others: Iterable[Score] = ()) -> str:
    """One self-contained page: the money, the time line of incidents, what was seen when, what each cost, and the others."""
    others = list(others)
    careful = next((o for o in others if o.operator == "careful"), None)
    pairs = zip(score.incidents, careful.incidents if careful else [None] * len(score.incidents), strict=True)
    decoys = [{"Decoy": d["name"], "From": d["first"], "Until": d["last"]} for d in score.decoys]
    parts = [
        _section("Beside others", "The same days: other operators on the course's own service", compared([score, *others])),
        _beyond(score, others),
        f"<h2>Time line</h2><div class=line>{_line(score)}</div>",
        _section("Incidents", "What struck, when it was noticed, and what was lost: what the course's own model earns on clean "
                 "data, less what was earned (shared where several struck at once)", [_told(*pair) for pair in pairs], "None."),
        _section("Decoys", "Days that only look like trouble", decoys),
        _section("What the operator did", "Its actions", _deeds(score), "Nothing."),
        _section("What careful did", "Actions of the course's own operator", _deeds(careful) if careful else []),
        _section("Money", "Dollars by what they were for", [{"What": k, "Dollars": v} for k, v in score.parts.items()]),
        "<h2>What went wrong</h2>" + _list(score.told),
    ]  # fmt: skip
    kind = "saved" if score.money >= 0 else "lost"
    title = f"Post-mortem: {score.operator} on {score.scenario}, seed {score.seed}, {score.days} days"
    sum_ = f"{money(abs(score.money))} {kind}"
    return (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(f'{sum_}: {title}')}</title><style>{STYLE}.line {{ max-width: 52rem }}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class=money>{sum_}</p><p class=between>against a desk that never acts</p>"
        f"{''.join(parts)}</main></body></html>\n"
    )


def as_json(score: Score) -> str:
    """The score as JSON."""
    return json.dumps(asdict(score), indent=1)
