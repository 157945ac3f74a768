"""Deciding with users: how many a test needs, why not to peek, a test that may be watched, a bandit, and months of feedback."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from data import World
from measure import Logged, catalogue
from rank import Ease, Ranker, top


def users_needed(rate: float, lift: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Users in each arm to find a change of `rate` by `lift` (both shares, such as 0.20 and 0.01) with chance `power`.

    Two-sided test of level alpha on two shares. ValueError unless both rates are between 0 and 1 and lift is not 0.
    """
    from scipy.stats import norm

    new = rate + lift
    if not (0 < rate < 1 and 0 < new < 1 and lift):
        raise ValueError(
            f"rate and rate + lift must be between 0 and 1 and differ, got {rate!r} and {lift!r}"
        )
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha and power must be between 0 and 1, got {alpha!r} and {power!r}")
    spread = rate * (1 - rate) + new * (1 - new)
    return int(np.ceil((norm.ppf(1 - alpha / 2) + norm.ppf(power)) ** 2 * spread / lift**2))


def arms(
    rates: tuple[float, float], a_day: int, days: int, runs: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Many A/B tests at once: users so far in each arm (days,), and share that clicked so far (runs, days, 2)."""
    rng, n = np.random.default_rng(seed), a_day * np.arange(1, days + 1)
    clicked = rng.binomial(a_day, np.broadcast_to(rates, (runs, days, 2))).cumsum(1)
    return n, clicked / n[:, None]


def z_test(n: np.ndarray, share: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Whether the plain test finds a difference, at each look (..., looks): right for one look that was fixed before."""
    from scipy.stats import norm

    difference, spread = _difference(n, share)
    return np.abs(difference) > norm.ppf(1 - alpha / 2) * np.sqrt(spread / n)


def watched_test(n: np.ndarray, share: np.ndarray, alpha: float = 0.05, lift: float = 0.02) -> np.ndarray:
    """Whether a test that may be looked at every day finds a difference: all its looks together err at most alpha.

    A mixture sequential probability ratio test; `lift` is the size of change that it is quickest for. Source: Johari et al.
    (2017), Peeking at A/B Tests.
    """
    difference, spread = _difference(n, share)
    wide = spread + n * lift**2
    ratio = np.sqrt(spread / wide) * np.exp(n**2 * lift**2 * difference**2 / (2 * spread * wide))
    return ratio >= 1 / alpha


def _difference(n, share):
    both = np.clip(share.mean(-1), 0.5 / n, 1 - 0.5 / n)
    return share[..., 1] - share[..., 0], 2 * both * (1 - both)


def bandit(rates: np.ndarray, rounds: int, how: str, seed: int = 0, each: int = 10) -> np.ndarray:
    """Clicks lost so far (rounds,) against always showing the best of the screens with these click rates.

    `each` users come a round. "even": all alike, as an A/B test does; "greedy": the best so far; "thompson": as often as it
    may be the best, by a draw from what is known of each. Source: Thompson (1933). ValueError for another way.
    """
    if how not in ("even", "greedy", "thompson"):
        raise ValueError(f"how must be 'even', 'greedy' or 'thompson', got {how!r}")
    rng, rates = np.random.default_rng(seed), np.asarray(rates, float)
    won, lost, regret = np.ones(len(rates)), np.ones(len(rates)), np.empty(rounds)
    for n in range(rounds):
        if how == "even":
            arm = np.arange(each) % len(rates)
        elif how == "greedy":
            arm = np.full(each, np.argmax(won / (won + lost)))
        else:
            arm = rng.beta(won, lost, (each, len(rates))).argmax(1)
        click = rng.random(each) < rates[arm]
        won += np.bincount(arm[click], minlength=len(rates))
        lost += np.bincount(arm[~click], minlength=len(rates))
        regret[n] = (rates.max() - rates[arm]).sum()
    return regret.cumsum()


def softmax(scores: np.ndarray, heat: float) -> np.ndarray:
    """Chances (n, films) that favour high scores: all alike where heat is large, the best alone where it is near 0."""
    odds = np.exp((scores - scores.max(1, keepdims=True)) / heat)
    return odds / odds.sum(1, keepdims=True)


def hero(world: World, old: np.ndarray, new: np.ndarray, screens: int, seed: int = 0) -> tuple[Logged, float]:
    """A log of the tile at the top, filled by policy `old`, as evidence on policy `new`; and the new one's true value.

    old, new (users, films): chances that a user is shown a film. The model of the reward is each film's share of clicks in
    an earlier log of the same size, so that it does not know the clicks it is corrected by.
    """
    rng = np.random.default_rng(seed)
    past, log = (_shown(world, old, screens, rng) for _ in range(2))
    tries, won = (np.bincount(past[1], w, world.films) for w in (None, past[2]))
    guess = (won + 5 * past[2].mean()) / (tries + 5)
    user, film, click = log
    chances = old[user, film], new[user, film]
    truth = float((new * world.preference).sum(1).mean())
    return Logged(click.astype(float), *chances, guess[film], (new @ guess)[user]), truth


def _shown(world, chances, screens, rng):
    user = rng.integers(world.users, size=screens)
    film = (chances.cumsum(1)[user] < rng.random(screens)[:, None]).sum(1).clip(max=world.films - 1)
    return user, film, rng.random(screens) < world.preference[user, film]


def live(
    world: World,
    explore: int = 0,  # slots of each screen given to films that few were shown
    months: int = 12,
    screens: int = 3,  # a user and month
    model: Callable[[], Ranker] = lambda: Ease(100),
    seed: int = 0,
) -> pd.DataFrame:
    """Months of a service that learns from what it has itself shown, and is retrained every month.

    Returns a row a month: value (true expected clicks a screen), coverage, novelty, gini, head, new (share of slots that
    hold films released after the start). Clicks of a film that was never shown cannot come. Raises
    ValueError unless explore is between 0 and the slots of a screen.
    """
    if isinstance(explore, bool) or not isinstance(explore, int) or not 0 <= explore <= world.slots:
        raise ValueError(f"explore must be a whole number from 0 to {world.slots}, got {explore!r}")
    rng, people = np.random.default_rng(seed), np.arange(world.users)
    seen, times_shown, rows = np.zeros((world.users, world.films), bool), np.zeros(world.films), []
    for month in range(months):
        learned = model().fit(seen.astype(float)) if seen.any() else None
        for _ in range(screens):
            shown = _screen(world, learned, seen, times_shown, month, explore, rng)
            who, slot = np.nonzero(world.clicks(people, shown, rng))
            seen[who, shown[who, slot]] = True
            times_shown += np.bincount(shown[shown >= 0], minlength=world.films)
        new = (world.catalogue.month.to_numpy() > 0)[np.maximum(shown, 0)] & (shown >= 0)
        facts = {"value": world.value(people, shown).mean(), "new": new.mean()} | catalogue(
            shown, seen.sum(0)
        )
        rows.append({"month": month} | facts)
    return pd.DataFrame(rows).set_index("month")


def _screen(world, learned, seen, times_shown, month, explore, rng):
    scores = learned.score(seen.astype(float)) if learned else rng.random(seen.shape)
    scores = scores + 1e-9 * rng.random(seen.shape)  # equal scores in no order
    open_ = ~seen & world.open(month)
    best = top(scores, world.slots - explore, allowed=open_)
    if not explore:
        return best
    rows = np.arange(len(seen))[:, None]
    open_[rows, best] = open_[rows, best] & (best < 0)
    rare = -np.log1p(times_shown) + rng.gumbel(size=seen.shape)  # seldom shown, by chance
    return np.hstack([best, top(rare, explore, allowed=open_)])


def drift(before: pd.Series, now: pd.Series) -> float:
    """How far the films' shares of views have moved: 0 the same shares, 1 no film in common (total variation)."""
    a, b = before.align(now, fill_value=0)
    if not a.sum() or not b.sum():
        raise ValueError(f"before and now must each hold a view, got {a.sum()} and {b.sum()}")
    return float(abs(a / a.sum() - b / b.sum()).sum() / 2)
