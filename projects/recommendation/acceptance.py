"""Acceptance tests: what a solution must do, tried on a simulated service whose truth is known, a reason for each failure.

A solution is an object with four methods:

    split(ratings) -> (train, test)            two parts of the rows; the test is the future
    fit(train, films)                          learn from the rows that it is given, and from nothing else:
                                               the same rows give the same lists (seed what you draw)
    recommend(user, k, among=None) -> list     ids of films, best first, none that the user has in `train`;
                                               with `among` only films of that list
    evaluate(recommend, train, test, k) -> float      mean nDCG@k over users with a test film, of any `recommend`

`accept(Solution)` gives a table: what was tried, whether it passed, and why not. Any honest solution passes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from data import World, matrix
from measure import ranked

from mlcourse.exercises.engine import ToDo
from mlcourse.exercises.guard import TooLong, run

K, SECONDS = 10, 120


def accept(make: Callable[[], object], seed: int = 0) -> pd.DataFrame:
    """Table of the acceptance tests (index: what is asked; passed, reason) for solutions made by `make`. Never raises."""
    trial = _Trial(make, seed)
    asked = {
        "the test is the future": trial.time,
        "no test rating is learned from": trial.leak,
        "nothing seen is recommended": trial.seen,
        "it is not popularity in disguise": trial.personal,
        "the metric ranks the whole catalogue": trial.metric,
        "odd questions have sensible answers": trial.odd,
    }
    rows = {}
    for name, ask in asked.items():
        try:
            reason, _ = run(ask, SECONDS)
        except ToDo:
            reason = "still to do: a ____ is left in your solution"
        except TooLong:
            reason = f"it took more than {SECONDS} s"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        rows[name] = (not reason, reason or "")
    return pd.DataFrame.from_dict(rows, orient="index", columns=["passed", "reason"])


class _Trial:
    def __init__(self, make, seed):
        self.make, self.world = make, World(users=240, films=160, months=8, seed=seed)
        self.ratings, self.films, _ = self.world.log(screens=3, seed=seed + 1)
        self.ratings = self.ratings.drop(columns="slot")
        self.rng, self.made = np.random.default_rng(seed), None

    def fitted(self):
        """The solution, fitted on its own split: (solution, train, test)."""
        if self.made is None:
            solution = self.make()
            train, test = solution.split(self.ratings.copy())
            solution.fit(train.copy(), self.films.copy())
            self.made = solution, train, test
        return self.made

    def time(self):
        train, test = self.make().split(self.ratings.copy())
        if not len(train) or not len(test):
            return (
                f"split gave {len(train)} rows to learn from and {len(test)} to test on: both must hold some"
            )
        late = train.time > test.time.min()
        shared = train.merge(test, on=["user", "film"])
        if late.any() and not len(shared):
            return (
                f"time is ignored: {late.mean():.0%} of the rows to learn from are later than the first test row. "
                "The service never knows tomorrow: cut at one moment, the same for all users"
            )
        return ""

    def differ(self, other, users):
        """Number of users to whom the solution and another one recommend different films."""
        solution = self.fitted()[0]
        return sum(list(solution.recommend(u, K)) != list(other.recommend(u, K)) for u in users)

    def leak(self):
        _, train, test = self.fitted()
        if len(shared := train.merge(test, on=["user", "film"])):
            return f"test ratings are in training: {len(shared):,} of {len(test):,} test rows are also learned from"
        twin, users = self.make(), train.user.unique()[:60]
        twin.split(self.ratings.copy()), twin.fit(train.copy(), self.films.copy())
        moved = self.differ(twin, users)
        if moved > len(users) // 10:
            return (
                f"two fits on the same rows give {moved} of {len(users)} users other films: seed what you draw, or no two "
                "models can be compared"
            )
        other, cut = self.make(), test.time.min()
        changed = self.ratings.copy()
        after = changed.time >= cut
        changed.loc[after, "film"] = self.rng.permutation(changed.film[after].to_numpy())
        other.split(changed.drop_duplicates(["user", "film"]))
        other.fit(train.copy(), self.films.copy())
        differ = self.differ(other, users)
        if differ > len(users) // 10:
            return (
                f"test ratings are in training: with another future, but the same rows to learn from, {differ} of "
                f"{len(users)} users get other films. `fit` knows more than it was given"
            )
        return ""

    def seen(self):
        solution, train, _ = self.fitted()
        had = train.groupby("user").film.agg(set)
        again = {u: set(solution.recommend(u, K)) & films for u, films in had.items()}
        count = sum(map(len, again.values()))
        if count:
            user = next(u for u in again if again[u])
            return (
                f"seen films are recommended: {count} times, such as film {min(again[user])} to user {user}"
            )
        return ""

    def personal(self):
        solution, train, _ = self.fitted()
        users, views = np.sort(train.user.unique()), train.film.value_counts()
        views = views.sort_index(kind="stable").sort_values(ascending=False, kind="stable")
        had = train.groupby("user").film.agg(set)
        plain = [[f for f in views.index if f not in had[u]][:K] for u in users]
        ours = [list(solution.recommend(u, K)) for u in users]
        if any(not films for films in ours):
            return "a user who has a history gets no film"
        liked = lambda lists: np.array(
            [self.world.preference[u, f].mean() for u, f in zip(users, lists, strict=True)]
        )
        gain = liked(ours) - liked(plain)
        low = gain.mean() - 1.645 * gain.std(ddof=1) / np.sqrt(len(gain))
        shared = np.mean([len(set(a) & set(b)) / K for a, b in zip(ours, plain, strict=True)])
        if low <= 0 or shared > 0.8:
            return (
                f"popularity in disguise: {shared:.0%} of what it recommends is what popularity would, and its films are liked "
                f"{gain.mean():+.3f} more than popularity's (at least {low:+.3f}): a user's own history must count"
            )
        return ""

    def metric(self):
        solution, train, test = self.fitted()
        train, test = train[train.user.isin(test.user)], test[test.user.isin(train.user)]
        for lists in self.stand_ins(train, test):
            want = self.ndcg(lists, train, test)
            only = self.ndcg(
                lambda u, k, among=None, f=lists: f(u, k, self.films.index), train, test, rated=True
            )
            got = float(solution.evaluate(lists, train.copy(), test.copy(), K))
            if abs(got - want) < 1e-6:
                continue
            if abs(got - only) < 1e-6 or got > want + 0.2:
                return (
                    f"the metric is taken over only the rated films: it says {got:.3f} where the ranking of the whole catalogue "
                    f"has nDCG@{K} {want:.3f}. Finding the good among the rated is easy; the service must find them among all"
                )
            return f"evaluate gives {got:.4f} where nDCG@{K}, averaged over users with a test film, is {want:.4f}"
        return ""

    def stand_ins(self, train, test):
        """Recommenders whose nDCG is known: one that never hits unless it is told the rated films, one by chance, one perfect."""
        had, wanted = train.groupby("user").film.agg(set), test.groupby("user").film.agg(set)
        rank = {u: self.rng.permutation(self.films.index) for u in wanted.index}

        def lists(order):
            def recommend(user, k, among=None):
                allowed = set(self.films.index if among is None else among) - had.get(user, set())
                return [int(f) for f in order(user) if f in allowed][:k]

            return recommend

        last = lambda u: sorted(rank[u], key=lambda f: f in wanted[u])
        first = lambda u: sorted(rank[u], key=lambda f: f not in wanted[u])
        yield from (lists(order) for order in (last, lambda u: rank[u], first))

    def ndcg(self, recommend, train, test, rated=False):
        """The reference: mean nDCG@K; with `rated` over each user's test films and nothing else."""
        users = pd.Index(np.sort(test.user.unique()))
        held = matrix(test, users, self.films.index)
        among = test.groupby("user").film.agg(list)
        found = np.full((len(users), K), -1)
        for row, user in enumerate(users):
            films = recommend(user, self.world.films)
            films = [f for f in films if f in set(among[user])] if rated else films
            place = self.films.index.get_indexer(films[:K])
            found[row, : len(place)] = place
        return float(ranked(found, held).ndcg.mean())

    def odd(self):
        solution, train, _ = self.fitted()
        user, films = train.user.iloc[0], set(self.films.index)
        for who, k, most in ((user, 0, 0), (user, 10**4, len(films)), (10**9, K, K), (user, K, K)):
            got = list(solution.recommend(who, k))
            known = "a user that nobody knows" if who == 10**9 else f"user {who}"
            if len(got) > most or len(set(got)) < len(got) or not set(got) <= films:
                return f"recommend for {known} with k = {k} gives {len(got)} films, {len(set(got))} of them different"
            if who == 10**9 and not got:
                return "a user that nobody knows gets no film: what is popular is a sensible answer"
        few = list(self.films.index[:25])
        if not set(solution.recommend(user, K, among=few)) <= set(few):
            return "recommend with `among` gives films that are not among them"
        return ""
