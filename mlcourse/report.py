"""The report of a run: one page that stands by itself, every plot with its finding, its words and its numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from datetime import date
from html import escape
from typing import Any

from mlcourse.folder import course

# Okabe and Ito's colours, as the course's matplotlibrc has them, and their lighter sisters for a dark page
COLOURS = {
    "#0072b2": "blue",
    "#d55e00": "red",
    "#009e73": "green",
    "#000000": "ink",
    "#dddddd": "grid",
    "#888888": "soft",
}
SCORES = {
    "roc_auc": "ROC AUC", "average_precision": "Average precision", "log_loss": "Log loss", "brier": "Brier score",
    "calibration_error": "Calibration error",
}  # fmt: skip
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #636363; --grid: #ddd; --blue: #0072b2;
  --red: #d55e00; --green: #009e73; --card: #f4f6f8 }
@media (prefers-color-scheme: dark) { :root { --ink: #ededed; --paper: #16181b; --soft: #a8a8a8; --grid: #3a3d41;
  --blue: #56b4e9; --red: #f0883e; --green: #3fc79a; --card: #202327 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif }
h1 { font-size: 1.1rem; font-weight: 600; color: var(--soft); margin: 0 }
h2 { margin: 3rem 0 .5rem; font-size: 1.35rem } h3 { margin: 0 0 .5rem; font-size: 1.02rem; line-height: 1.35 }
p { max-width: 46rem } a { color: var(--blue) }
.money { font-size: clamp(2.2rem, 8vw, 3.6rem); font-weight: 700; line-height: 1.1; margin: .4rem 0 0;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em }
.between { font-size: 1.15rem; color: var(--soft); margin: .3rem 0 1.2rem }
.verdict { border-left: .35rem solid var(--green); background: var(--card); padding: .7rem 1rem; margin: 1.2rem 0; max-width: 46rem }
.verdict.no { border-color: var(--red) }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 2.2rem 2rem }
figure { margin: 0; min-width: 0 } figure svg { width: 100%; height: auto; display: block; fill: var(--ink) }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .5rem }
details { margin-top: .4rem } summary { cursor: pointer }
.wide { overflow-x: auto }
.wide:focus-visible, summary:focus-visible { outline: .15rem solid var(--blue); outline-offset: .15rem }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding: .3rem 0 }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid) }
th { font-weight: 600 } td.n, th.n { text-align: right; white-space: nowrap }
code { font-size: .88em; overflow-wrap: anywhere }
"""


def money(dollars: float) -> str:
    """Dollars as people say them: $6.19M, $158k, $4.6k, -$40."""
    size = abs(dollars)
    text = (
        f"{size / 1e6:.2f}M"
        if size >= 999_500
        else f"{size / 1e3:.{int(size < 99_950)}f}k"
        if size >= 1000
        else f"{size:.0f}"
    )
    return f"{'-' * (dollars < 0)}${text}"


def between(found: dict[str, float], show: Callable[[float], str] = money) -> str:
    """The interval of a figure: `$5.6M to $6.8M`."""
    return f"{show(found['low'])} to {show(found['high'])}"


def table(caption: str, rows: Iterable[dict[str, Any]]) -> str:
    """Rows as a table of HTML; text is escaped, numbers stand right. On a narrow screen it scrolls by itself."""
    rows = list(rows)
    names = list(rows[0]) if rows else []
    number = {
        n: all(isinstance(r[n], int | float) or str(r[n]).lstrip("-$")[:1].isdigit() for r in rows)
        for n in names
    }
    kind = {n: ' class="n"' if number[n] else "" for n in names}
    head = "".join(f"<th scope=col{kind[n]}>{escape(n)}</th>" for n in names)
    body = "".join(
        "<tr>" + "".join(f"<td{kind[n]}>{escape(_text(r[n]))}</td>" for n in names) + "</tr>" for r in rows
    )
    label = escape(caption, quote=True)
    return (
        f'<div class=wide tabindex=0 role=region aria-label="{label}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def figure(
    name: str, title: str, says: str, draw: Callable[[Any], None], rows: list[dict], height: float = 3.3
) -> str:
    """A plot as a figure of HTML: its finding as heading, the picture, the same in words, and its numbers to unfold."""
    import matplotlib
    from matplotlib.figure import Figure

    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10, "savefig.bbox": None}
    with matplotlib.rc_context(style, fname=course() / "matplotlibrc"):
        drawing = Figure(figsize=(5.4, height))
        draw(drawing.subplots())
        drawing.savefig(stream := io.StringIO(), format="svg", transparent=True, metadata={"Date": None})
    return (
        f"<figure><h3>{escape(title)}</h3>{_inline(stream.getvalue(), name, says)}"
        f"<figcaption>{escape(says)}<details><summary>The numbers of this plot</summary>"
        f"{table(title, rows)}</details></figcaption></figure>"
    )


def _inline(svg: str, name: str, says: str) -> str:
    # A drawing for the inside of a page: no header, ids of its own, colours and letters of the page.
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| version="1.1"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family:[^;\"]*;? ?", "", svg)
    for colour, role in COLOURS.items():
        svg = re.sub(colour, f"var(--{role})", svg, flags=re.I)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(says, quote=True)}"', 1)


def page(facts: dict[str, Any]) -> str:
    """The whole page, from what the stages left as JSON: contract, cleaning, training, evaluation, decision, lineage."""
    decision, evaluation = facts["decision"], facts["evaluation"]
    plots = [_months(decision), _reliability(evaluation), _thresholds(decision), _slices(evaluation)]
    rules = (
        "The baseline is last month's rate, the champion logistic regression; money is in dollars a day. The margins "
        "were measured on the past: the losses that 60 days of test cannot tell from none"
    )
    parts = [
        _headline(decision),
        table(f"{decision['flights']:,} flights of the test", figures(evaluation, decision)),
        f"<h2>What it earns, and where</h2><div class=plots>{''.join(plots)}</div>",
        "<h2>Errors worth reading</h2>" + table("Where the model was surest, and wrong", _worst(evaluation)),
        "<h2>The gate</h2>" + table(rules, _checks(decision)),
        "<h2>Where it comes from</h2>" + _lineage(facts),
    ]
    head = (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width,'
        f'initial-scale=1"><title>{_saved(decision)}: mlcourse run</title><style>{STYLE}</style></head>'
    )
    return f"{head}<body><main>{''.join(parts)}</main></body></html>\n"


def _saved(decision: dict) -> str:
    value = decision["savings"]["value"]
    return f"{money(abs(value))} {'saved' if value >= 0 else 'lost'}"


def _headline(decision: dict) -> str:
    kind = "verdict" if all(row["passed"] for row in decision["gate"]) else "verdict no"
    span = f"{_day(decision['first'])} to {_day(decision['last'])}"
    return (
        f"<h1>mlcourse run: {span}, days that the model had never seen</h1><p class=money>{_saved(decision)}</p>"
        f"<p class=between>95 % interval {between(decision['savings'])}, against doing nothing</p>"
        f'<p class="{kind}"><strong>{escape(verdict(decision))}</strong></p>'
    )


def verdict(decision: dict) -> str:
    """Whether the model passes the gate, and if not why, in a sentence."""
    failed = [f"{row['check']} ({row['reason']})" for row in decision["gate"] if not row["passed"]]
    if failed:
        return f"The model does not pass the gate: {'; '.join(failed)}."
    return f"The model passes the gate: {len(decision['gate'])} of {len(decision['gate'])} checks."


def figures(evaluation: dict, decision: dict) -> list[dict[str, str]]:
    """The figures that a run ends with: Figure, Value, 95 % interval."""
    saved, best, scores = decision["savings"], decision["hindsight"], evaluation["scores"]["model"]
    rows = [("Net savings", money(saved["value"]), between(saved))]
    for name, words in (("last_month_rate", "last month's rate"), ("logistic", "logistic regression")):
        ahead = decision["ahead"][name]
        rows.append((f"More than {words}", money(ahead["value"]), between(ahead)))
    rows.append(("Share of hindsight's monthly best", f"{saved['value'] / best:.1%}" if best else "none", ""))
    rows.append(("Flights acted on", f"{decision['acts']:,}", ""))
    digits = lambda x: f"{x:.3f}"
    for row in scores:
        rows.append((SCORES.get(row["score"], row["score"]), digits(row["value"]), between(row, digits)))
    return [dict(zip(("Figure", "Value", "95 % interval"), row, strict=True)) for row in rows]


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {day:%B %Y}"


def _checks(decision: dict) -> list[dict]:
    return [{"Check": r["check"], "Passed": r["passed"], "Measured": r["value"], "Lowest": r["low"], "Highest": r["high"],
             "Limit": r["limit"], "Why": r["reason"]} for r in decision["gate"]]  # fmt: skip


def _worst(evaluation: dict) -> list[dict]:
    return [{"Error": r["error"], "Flight": f"{r['carrier']} {r['flight']}", "From": r["origin"], "To": r["dest"],
             "Scheduled": f"{r['date']} {r['sched_dep_time'] // 100:02d}:{r['sched_dep_time'] % 100:02d}",
             "What became of it": r["happened"], "Said": f"{r['p']:.1%}", "Lost": money(r["lost"])}
            for r in evaluation["worst"]]  # fmt: skip


def _months(decision: dict) -> str:
    rows = decision["months"]

    def draw(ax):
        at = range(len(rows))
        ax.bar([x - 0.2 for x in at], [r["model"] / 1e6 for r in rows], 0.38, label="the model")
        ax.bar([x + 0.2 for x in at], [r["last_month_rate"] / 1e6 for r in rows], 0.38, color="#d55e00", hatch="///",
               edgecolor="#dddddd", label="last month's rate")  # fmt: skip
        best = [r["hindsight"] / 1e6 for r in rows]
        ax.plot([x - 0.2 for x in at], best, "_", color="#000000", markersize=30, label="best in hindsight")
        ax.axhline(0, color="#000000", linewidth=0.8)
        ax.set(xticks=list(at), xticklabels=[r["month"] for r in rows], ylabel="net savings, million $")
        ax.grid(axis="x", visible=False)
        ax.legend(
            loc="lower center",
            bbox_to_anchor=(0.45, 1),
            ncols=3,
            columnspacing=1,
            handletextpad=0.5,
            markerscale=0.6,
        )

    ahead = sum(r["model"] > r["last_month_rate"] for r in rows)
    title = f"The model saves more than last month's rate in {ahead} of {len(rows)} months"
    says = "Net savings by month: " + "; ".join(
        f"{r['month']} {money(r['model'])}, last month's rate {money(r['last_month_rate'])}" for r in rows
    ) + ". The bars' marks are the best threshold of each month, known only afterwards."  # fmt: skip
    return figure("months", title, says, draw, rows)


def _thresholds(decision: dict) -> str:
    curve, at = decision["curve"], decision["break_even"]
    best = max(curve, key=lambda r: r["savings"])

    def draw(ax):
        ax.plot([r["threshold"] for r in curve], [r["savings"] / 1e6 for r in curve])
        ax.axvline(at, color="#d55e00", linestyle="--", label=f"break-even {at:.3f}")
        ax.axhline(0, color="#000000", linewidth=0.8)
        ax.set(
            xlabel="threshold on the probability of a bad flight",
            ylabel="net savings, million $",
            xlim=(0, 1),
        )
        low, high = best["savings"] / -2e6, best["savings"] * 1.08 / 1e6
        ax.set_ylim(low, high)
        ax.legend()

    used = decision["savings"]["value"]
    title = f"The threshold that follows from the costs leaves {money(max(0, best['savings'] - used))} of {money(best['savings'])}"
    says = (
        f"Net savings against the threshold: {money(used)} at the break-even of {at:.3f} that is used, at most "
        f"{money(best['savings'])}, at {best['threshold']:.3f}. The best threshold of the past, "
        f"{decision['learned']['threshold']:.3f}, brings {money(decision['learned']['savings'])}, acting on every flight "
        f"{money(decision['always'])}."
    )
    return figure("thresholds", title, says, draw, curve[:: max(1, len(curve) // 20)])


def _reliability(evaluation: dict) -> str:
    rows = evaluation["calibration"]
    said = [r["predicted"] for r in rows]
    low = max(0.5 * min(said), 1e-3)

    def draw(ax):
        ticks = [p for p in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if p > low]
        ends = [[max(low, r["observed"] if r[e] is None else r[e]) for r in rows] for e in ("low", "high")]
        ax.plot([low, 1], [low, 1], color="#888888", linewidth=1, label="what is said is what comes")
        ax.vlines(said, *ends, color="#0072b2", linewidth=1)
        ax.plot(said, [r["observed"] for r in rows], "o", markersize=4, label="a twentieth of the flights")
        ax.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1), xlabel="probability that the model said",
               ylabel="share of bad flights")  # fmt: skip
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks(ticks, [f"{p:.0%}" for p in ticks])
        ax.minorticks_off()
        ax.legend(loc="upper left")

    off = max(rows, key=lambda r: abs(r["predicted"] - r["observed"]))
    title = f"Where it says {off['predicted']:.0%}, {off['observed']:.0%} were bad: nowhere is it further off"
    shown = [rows[round(at * (len(rows) - 1) / 4)] for at in range(5)]
    pairs = ", ".join(f"{r['predicted']:.1%} and {r['observed']:.1%}" for r in shown)
    says = f"Probability said and share of bad flights, from the surest twentieth to the direst: {pairs}; 95 % intervals by day."
    return figure("reliability", title, says, draw, rows)


def _slices(evaluation: dict) -> str:
    rows = [r | {"name": f"{r['column']} {r['value']}"} for r in evaluation["slices"] if r["enough"]]
    sure = [r for r in rows if r["p_adjusted"] < 0.05]

    def draw(ax):
        for at, r in enumerate(reversed(rows)):
            colour = "#d55e00" if r in sure else "#0072b2"
            ax.plot([100 * r["low"], 100 * r["high"]], [at, at], color=colour, linewidth=1.6)
            ax.plot(100 * r["gap"], at, "D" if r in sure else "o", color=colour, markersize=5)
        ax.axvline(0, color="#000000", linewidth=0.8)
        ax.set(yticks=range(len(rows)), yticklabels=[r["name"] for r in reversed(rows)], ylim=(-0.7, len(rows) - 0.3),
               xlabel="observed less predicted, percentage points")  # fmt: skip
        ax.grid(axis="y", visible=False)

    title = f"{len(sure) or 'None'} of {len(rows)} slices {'differs' if len(sure) < 2 else 'differ'} from what the model says by more than luck"
    says = (
        f"Observed less predicted share of bad flights, with 95 % intervals by day. A diamond is off for certain, after "
        f"{len(rows)} looks (Holm): "
        + (", ".join(f"{r['name']} {100 * r['gap']:+.1f} points" for r in sure) or "none")
        + "."
    )
    shown = [{"Slice": r["name"], "Flights": r["n"], "Said": r["predicted"], "Were bad": r["observed"], "Saved": money(r["savings"])}
             for r in rows]  # fmt: skip
    return figure("slices", title, says, draw, shown, height=0.9 + 0.19 * len(rows))


def _lineage(facts: dict) -> str:
    contract, training = facts["contract"], facts["training"]
    rows = {"Days": f"{contract['first']} to {contract['last']}", "Test from": contract["test_from"]}
    rows |= {f"Rows of {name}": f"{n:,}" for name, n in contract["rows"].items()}
    rows |= {f"Rows of {name} sent twice": f"{n:,}" for name, n in contract["repeated"].items() if n}
    for r in contract["warnings"]:
        rows[f"{r['table']}: {r['rule']}"] = (
            f"broken by {r['count']:,} of {r['of']:,}, which the contract allows"
        )
    rows |= {f"{c} that cannot be": f"{n:,} taken away" for c, n in facts["cleaning"]["taken_away"].items()}
    gain = training["calibrated_gain"]
    rows["A calibrator"] = (
        f"{'used' if training['calibrated'] else 'not used'}: on the past alone it would have brought "
        f"{money(gain['value'])} more, {between(gain)}"
    )
    rows |= {"Seed": str(facts["seed"])} | facts["versions"]
    rows |= {f"sha256 of {name}": value for name, value in facts["hashes"].items()}
    return table(
        "Data, seed, versions and hashes of this run", [{"What": k, "Value": v} for k, v in rows.items()]
    )
