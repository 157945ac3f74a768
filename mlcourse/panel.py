"""What a look of `mlcourse.monitor` found, for people and for machines: one page of HTML, and Prometheus gauges."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import pandas as pd

from mlcourse.report import STYLE, figure, money, table

_OPEN = ".verdict.open { border-color: var(--soft) }\n"  # neither good nor bad: not judged


def gauges(
    drift: pd.DataFrame | None = None,
    quality: pd.DataFrame | None = None,
    performance: pd.DataFrame | None = None,
    estimate: pd.DataFrame | None = None,
    gap: pd.DataFrame | None = None,
) -> str:
    """Prometheus gauges in its text format: how far features and promises moved, broken rules, the last day in dollars.

    Each argument is what the function of that name gave; what is not known has no sample, nor has an alarm that was not
    judged. `mlcourse_day` is the last day on which every label is certain, or overdue. Source: Prometheus's exposition
    format 0.0.4.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    for name, labels, rows in _gauged(drift, quality, performance, estimate, gap):
        made = Gauge(f"mlcourse_{name}", f"{name} of the last look", labels, registry=registry)
        for *values, x in rows:
            made.labels(*map(str, values)).set(float(x))
    return generate_latest(registry).decode()


def _gauged(drift, quality, performance, estimate, gap) -> Iterator[tuple]:
    # name, labels, rows of their values and a number
    level = ["z", "p", "alarm"]
    for name, look, numbers in (
        ("drift", drift, ["psi", "ks", "chi2", "missing", "unknown", *level]),
        ("gap", gap, level),
    ):
        for c in numbers if look is not None else ():
            known = look[c][look.p.notna()] if c == "alarm" else look[c].dropna()
            yield f"{name}_{c}", list(look.index.names), [(*at, x) for at, x in known.items()]
    if quality is not None:
        count = quality.groupby(["rule", "feature"]).size()
        yield "broken", ["rule", "feature"], [(*at, n) for at, n in count.items()]
    if performance is not None:  # a day that is still open is no day yet
        performance = performance[performance.known + performance.overdue == performance.flights]
    for name, days in {"day": performance, "estimate": estimate}.items():
        if days is not None and len(days):
            yield name, ["measure"], list(days.iloc[-1].dropna().items())


def report(
    drift: pd.DataFrame,
    quality: pd.DataFrame,
    performance: pd.DataFrame,
    estimate: pd.DataFrame | None = None,
    gap: pd.DataFrame | None = None,
    title: str = "Monitor",
) -> str:
    """One HTML page that stands by itself: what needs an answer first, then money and labels by day, then every number.

    Each argument is what the function of that name gave, `performance` and `estimate` by day. What was not judged (no
    `gap`, no labels, too few flights) is named, and then the page is not green. Text is escaped.
    """
    found, silent = {"broken rules": quality}, ", ".join(_open(drift, gap))
    for name, look in {"drift alarms": drift, "broken promises": gap}.items():
        if look is not None and look.p.notna().any():
            found[name] = look[look.alarm].sort_values("z", key=abs, ascending=False)
    kind = "verdict no" if any(map(len, found.values())) else "verdict open" if silent else "verdict"
    says = ", ".join(
        f"{len(rows) or 'no'} {name if len(rows) != 1 else name[:-1]}" for name, rows in found.items()
    )
    says = f"{says[0].upper()}{says[1:]}." + f" Not judged: {silent}." * bool(silent)
    plots = _money(performance, estimate) + _labels(performance)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="{kind}"><strong>{escape(says)}</strong></p>',
        *(_table(name.capitalize(), rows) for name, rows in found.items() if len(rows)),
        f"<h2>Money and labels</h2><div class=plots>{plots}</div>",
        f"<h2>Every number</h2><details><summary>All features</summary>{_table('Features by window', drift)}</details>",
    ]
    head = (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,'
        f'initial-scale=1"><title>{escape(title)}</title><style>{STYLE}{_OPEN}</style></head>'
    )
    return f"{head}<body><main>{''.join(parts)}</main></body></html>\n"


def _open(drift, gap) -> Iterator[str]:  # what was not judged, and why
    for days, p in drift.p.groupby("days"):
        if p.isna().all():
            yield f"drift of {days} day{'s' * (days > 1)} (too few flights)"
    if gap is None:
        yield "promises"
    elif gap.empty:
        yield "promises (no labels)"
    else:
        for days, measure in gap.index[gap.p.isna()]:
            yield f"promise of {measure} over {days} day{'s' * (days > 1)} (it hardly strayed in the past)"


def _table(caption, rows):
    shown = rows.reset_index().drop(columns="index", errors="ignore").dropna(axis=1, how="all")
    return table(caption, [{c: _plain(x) for c, x in row.items()} for row in shown.to_dict("records")])


def _plain(x):
    if isinstance(x, pd.Timestamp):
        return f"{x:%Y-%m-%d}"
    return "" if pd.isna(x) else x


def _money(performance, estimate):
    days = performance[["flights", "known", "saved"]]
    saved, total = float(days.saved.sum()), "An unknown sum saved"
    if days.known.any():
        total = f"{money(abs(saved))} {'saved' if saved >= 0 else 'lost'}"
    says = f"{total} on {days.known.sum():,} flights with a label, of {days.flights.sum():,}."
    if estimate is not None:
        days = days.join(estimate[["saved_low", "saved_high"]])
        full = days[(days.known == days.flights) & days.saved_low.notna()]
        inside = full.saved.between(full.saved_low, full.saved_high).sum()
        if len(full):
            says += f" Days with all labels inside the estimate's interval: {inside} of {len(full)}."

    def draw(ax):
        ax.bar(days.index, days.saved / 1e3, color="#0072b2", label="known labels")
        if estimate is not None:
            ax.vlines(
                days.index, days.saved_low / 1e3, days.saved_high / 1e3, color="#d55e00", label="estimate"
            )
        ax.set(ylabel="saved (thousand $)"), ax.tick_params(axis="x", rotation=30)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return figure("money", f"{total} so far", says, draw, _records(days))


def _labels(performance):
    young = performance.flights - performance.known - performance.overdue
    days = performance[["known", "overdue"]].assign(**{"not yet certain": young})

    def draw(ax):
        bottom = 0
        for (name, n), colour, hatch in zip(
            days.items(), ("#009e73", "#d55e00", "#888888"), ("", "xx", "//"), strict=True
        ):
            ax.bar(days.index, n, bottom=bottom, color=colour, hatch=hatch, label=name)
            bottom = bottom + n
        ax.set(ylabel="flights"), ax.tick_params(axis="x", rotation=30)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    total = days.sum()
    says = f"Flights: {', '.join(f'{n:,} {name}' for name, n in total.items())}."
    return figure(
        "labels",
        f"{total.known / max(total.sum(), 1):.0%} of the labels are certain",
        says,
        draw,
        _records(days),
    )


def _records(days):
    return [{c: _plain(x) for c, x in row.items()} for row in days.reset_index().to_dict("records")]
