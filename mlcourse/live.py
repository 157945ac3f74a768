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

from mlcourse.report import STYLE, figure, money, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlcourse.simulate import Score

SPARKS = "▁▂▃▄▅▆▇█"


def _when(text: str | None, hour: bool = True) -> str:
    return "never" if text is None else text[: 16 if hour else 10].replace("T", " ")


def _incident(row: dict[str, Any]) -> dict[str, str]:
    late = "not noticed" if row["hours"] is None else f"after {row['hours']} h"
    return {
        "Incident": row["name"] + (f" ({row['where']})" if row["where"] else ""), "From": _when(row["start"]),
        "Until": _when(row["end"]), "Ended by": "the operator" if row["mended"] else "itself", "Noticed": late,
        "Lost": money(row["lost"]),
    }  # fmt: skip


# ---------------------------------------------------------------- in the terminal


def view(now: dict[str, Any]) -> RenderableType:
    """A snapshot of `simulate.play` for the terminal: money, the days so far, incidents that are known, what was done."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    daily, top = now["daily"][-60:], max(*map(abs, now["daily"]), 1.0)
    days = Text.assemble(
        *((SPARKS[min(7, int(7.99 * abs(d) / top))], "green" if d >= 0 else "red") for d in daily)
    )
    head = Text.assemble(
        (f"{money(now['money'])}", "bold green" if now["money"] >= 0 else "bold red"),
        f" saved against a desk that never acts, {now['operator']} on {now['scenario']}, seed {now['seed']}",
    )
    facts = (
        f"{_when(now['now'])} UTC   day {now['day']} of {now['days']}   last day: {now['flights']:,} flights, {now['acts']:,} acts, "
        f"{now['unanswered']:,} unanswered   false alarms: {now['false_alarms']}"
        + (f"   off: {', '.join(now['off'])}" if now["off"] else "")
    )
    parts = [
        head,
        Text(facts),
        ProgressBar(now["days"], now["day"], width=60),
        Text("Dollars a day, red: a loss"),
        days,
    ]
    for title, rows in (("Incidents noticed or over", [*map(_incident, now["incidents"])][-6:]),
                        ("Last actions", [{"At": _when(a["at"]), "Action": f"{a['kind']} {a['target']}".strip(), "Why": a["why"]} for a in now["actions"][-6:]])):  # fmt: skip
        if rows:
            shown = Table(
                title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold"
            )
            for name in rows[0]:
                shown.add_column(name, overflow="fold")
            for row in rows:
                shown.add_row(*map(Text, row.values()))
            parts += [Text(""), shown]
    if now["told"]:
        parts += [Text(""), Text("\n".join(now["told"][-4:]), "yellow")]
    return Panel(Group(*parts), title="mlcourse simulate", border_style="blue")


# ---------------------------------------------------------------- the same as a web page

PAGE = """<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>mlcourse simulate</title><style>{style}
#days {{ display: flex; align-items: flex-end; gap: 1px; height: 6rem; margin: 1rem 0 }} #days i {{ flex: 1; background: var(--green); min-height: 1px }}
#days i.loss {{ background: var(--red) }}</style></head><body><main><h1 id=title>mlcourse simulate</h1>
<p class=money id=money>$0</p><p class=between id=facts>waiting for the first day</p><progress id=progress max=1 value=0 aria-label="days played"></progress>
<div id=days role=img aria-label="dollars a day"></div><h2>Incidents noticed or over</h2><div id=incidents></div>
<h2>Last actions</h2><div id=actions></div><h2>What went wrong</h2><ul id=told></ul>
<p id=live role=status aria-live=polite></p></main><script>
const $ = id => document.getElementById(id), text = (tag, says) => Object.assign(document.createElement(tag), {{textContent: says}});
const table = (rows, caption) => {{ if (!rows.length) return text('p', 'none'); const t = document.createElement('table'), head = t.createTHead().insertRow();
  t.createCaption().textContent = caption; for (const n in rows[0]) {{ const th = text('th', n); th.scope = 'col'; head.append(th) }}
  const body = t.createTBody(); for (const r of rows) {{ const tr = body.insertRow(); for (const n in r) tr.insertCell().textContent = r[n] }} return t }};
let shown = '';
async function look() {{ try {{ const now = await (await fetch('now')).json(); if (now.page && now.page.money_text !== undefined) {{ const p = now.page;
  $('title').textContent = p.title; $('money').textContent = p.money_text; $('facts').textContent = p.facts; $('progress').value = p.share;
  const top = Math.max(1, ...p.daily.map(Math.abs)); $('days').replaceChildren(...p.daily.map(d => {{ const i = document.createElement('i');
    i.style.height = 100 * Math.abs(d) / top + '%'; if (d < 0) i.className = 'loss'; return i }})); $('days').setAttribute('aria-label', p.says);
  $('incidents').replaceChildren(table(p.incidents, 'newest last')); $('actions').replaceChildren(table(p.actions, 'newest last'));
  $('told').replaceChildren(...(p.told.length ? p.told : ['nothing']).map(t => text('li', t)));
  const said = p.incidents.length + ' incidents, ' + p.actions.length + ' actions'; if (said !== shown) $('live').textContent = shown = said;
  if (p.share >= 1) return }} }} catch (error) {{ $('live').textContent = 'The simulator has ended.'; return }} setTimeout(look, 500) }}
look();</script></body></html>"""


def as_page(now: dict[str, Any]) -> dict[str, Any]:
    """A snapshot in the words that the web page shows."""
    return {
        "title": f"{now['operator']} on {now['scenario']}, seed {now['seed']}: day {now['day']} of {now['days']}",
        "money_text": f"{money(abs(now['money']))} {'saved' if now['money'] >= 0 else 'lost'}", "share": now["day"] / now["days"],
        "facts": f"{_when(now['now'])} UTC. Last day: {now['flights']:,} flights, {now['acts']:,} acts, {now['unanswered']:,} "
        f"unanswered. False alarms: {now['false_alarms']}.",
        "daily": now["daily"], "says": f"Dollars a day, the last one {money(now['daily'][-1])}; {sum(d < 0 for d in now['daily'])} days lost money",
        "incidents": [*map(_incident, now["incidents"])][-12:], "told": now["told"],
        "actions": [{"At": _when(a["at"]), "Action": f"{a['kind']} {a['target']}".strip(), "Why": a["why"]} for a in now["actions"]],
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        kinds = {"/": ("text/html", PAGE.format(style=STYLE)), "/now": ("application/json", None)}
        kind, body = kinds.get(self.path, ("text/plain", ""))
        body = (json.dumps({"page": self.server.now}) if body is None else body).encode()
        self.send_response(200 if self.path in kinds else 404)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def web(port: int = 0) -> Iterator[tuple[str, Any]]:
    """A small server on this computer alone: its address, and a function that shows a snapshot on its page."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
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
    """A row for each score: who, net savings, and what it is made of."""
    rows = []
    for score in scores:
        acts = -sum(v for k, v in score.parts.items() if k not in ("flights", "unanswered", "late", "copies"))
        seen = [i["hours"] for i in score.incidents if i["hours"] is not None]
        rows.append({
            "Operator": score.operator, "Net savings": money(score.money), "Flights": money(score.parts.get("flights", 0.0)),
            "Downtime and lateness": money(-sum(score.parts.get(k, 0.0) for k in ("unanswered", "late", "copies"))), "Actions": money(acts),
            "Incidents noticed": f"{len(seen)} of {len(score.incidents)}", "False alarms": score.false_alarms,
            "Hours to notice": f"{sum(seen) / len(seen):.0f}" if seen else "none noticed",
        })  # fmt: skip
    return rows


def _line(score: Score) -> str:
    import numpy as np

    days = np.arange(len(score.daily))
    date = np.datetime64(_first(score)) + days

    def draw(ax):
        total = np.cumsum(score.daily) / 1e6
        ax.plot(date, total)
        for i in score.incidents:
            ax.axvspan(
                np.datetime64(i["start"][:16]),
                np.datetime64(i["end"][:16]),
                color="#d55e00",
                alpha=0.18,
                lw=0,
            )
        for d in score.decoys:
            ax.axvspan(
                np.datetime64(d["first"]), np.datetime64(d["last"]) + 1, color="#888888", alpha=0.25, lw=0
            )
        for a in score.actions:
            at = np.datetime64(a["at"][:16])
            ax.plot(
                at,
                np.interp((at - date[0]) / np.timedelta64(1, "D"), days, total),
                "v",
                color="#009e73",
                markersize=5,
            )
        ax.set(ylabel="net savings, million $", xlabel="2013")
        ax.xaxis.set_major_formatter(_months())
        ax.tick_params(axis="x", rotation=30)

    worst = max(score.incidents, key=lambda i: i["lost"], default=None)
    title = (
        f"{money(worst['lost'])} went in {worst['name']}" if worst else "Nothing was injected on these days"
    )
    says = (
        f"Net savings grow to {money(score.money)} over {score.days} days. Red bands: {len(score.incidents)} incidents while they lasted; "
        f"grey: {len(score.decoys)} decoys; triangles: {len(score.actions)} actions."
    )
    rows = [{"Day": str(d), "Dollars": round(v)} for d, v in zip(date, score.daily, strict=True)]
    return figure("line", title, says, draw, rows)


def _months() -> Any:
    from matplotlib.dates import DateFormatter

    return DateFormatter("%-d %b") if __import__("os").name != "nt" else DateFormatter("%d %b")


def _first(score: Score) -> str:
    return score.first


def postmortem(score: Score, others: Iterable[Score] = ()) -> str:
    """One self-contained page: the money, the time line of incidents, what was seen when, what each cost, and the others."""
    others = list(others)
    careful = next((o for o in others if o.operator == "careful"), None)
    gaps = [{"Incident": i["name"], "Where": i["where"], "From": _when(i["start"]), "Until": _when(i["end"]),
             "Ended by": "the operator" if i["mended"] else "itself", "Noticed": _when(i["seen"]),
             "Delay": "never" if i["hours"] is None else f"{i['hours']} h", "Lost": money(i["lost"])}
            | ({"Careful lost": money(c["lost"]), "Careful noticed": "never" if c["hours"] is None else f"{c['hours']} h"} if careful else {})
            for i, c in zip(score.incidents, (careful or score).incidents, strict=True)]  # fmt: skip
    deeds = lambda of: [{"At": _when(a["at"]), "Action": f"{a['kind']} {a['target']}".strip(), "Why": a["why"], "Cost": money(a["dollars"])} for a in of.actions]  # fmt: skip
    kind = "saved" if score.money >= 0 else "lost"
    head = (
        f"<h1>Post-mortem: {escape(score.operator)} on {escape(score.scenario)}, seed {score.seed}, {score.days} days</h1>"
        f"<p class=money>{money(abs(score.money))} {kind}</p><p class=between>against a desk that never acts</p>"
    )
    parts = [
        head,
        table("The same days, other operators on the course's own service", compared([score, *others])),
        f"<h2>Time line</h2><div class=plots>{_line(score)}</div>",
        "<h2>Incidents</h2>" + table("What struck, when it was noticed, what it cost against clean data (shared where several struck at once)", gaps)
        if gaps else "<h2>Incidents</h2><p>None.</p>",
        "<h2>Decoys</h2>" + table("Days that only look like trouble", [{"Decoy": d["name"], "From": d["first"], "Until": d["last"]} for d in score.decoys])
        if score.decoys else "",
        "<h2>What the operator did</h2>" + (table("Actions", deeds(score)) if score.actions else "<p>Nothing.</p>"),
        "<h2>What careful did</h2>" + table("Actions of the course's own operator", deeds(careful)) if careful and careful.actions else "",
        "<h2>Money</h2>" + table("Dollars by what they were for", [{"What": k, "Dollars": v} for k, v in score.parts.items()]),
        "<h2>What went wrong</h2><ul>" + "".join(f"<li>{escape(t)}</li>" for t in score.told[:100]) + "</ul>" if score.told else "",
    ]  # fmt: skip
    title = f"{money(abs(score.money))} {kind}: mlcourse simulate"
    return (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def as_json(score: Score) -> str:
    """The score as JSON."""
    return json.dumps(asdict(score), indent=1)
