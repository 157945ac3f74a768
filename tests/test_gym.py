"""The silent-failure gym: ten pipelines judged right, every wrong accusation refused with a reason that is measured."""

import numpy as np
import pandas as pd
import pytest

from mlcourse.exercises import gym
from mlcourse.exercises.engine import find, judge
from mlcourse.exercises.gym import DESK, FAULTS, KEY, OUTCOMES, PIPELINES, RIGHT, SKY, TRUTH
from mlcourse.frame import decision_time, label, label_time

SEEDS = range(5)
FAULTY = [letter for letter in PIPELINES if letter not in RIGHT]


# One detector for each fault, sharper than a learner's test must be: it sees its own fault and no other


def own_outcome(run, pipeline, table):
    """Features of a flight that move with its own outcome."""
    for row in run.test.index[run.test.air_time.notna()][::97]:
        hidden = table.copy()
        hidden.loc[row, OUTCOMES] = np.nan
        yield not run.X.loc[row].equals(pipeline(hidden).X.loc[row])


def others_outcomes(run, pipeline, table):
    """Features of a flight that move with outcomes of others not certain when it is decided."""
    for row in run.test.index[::97]:
        open_ = label_time(table, DESK) > decision_time(table.loc[[row]], DESK).iloc[0]
        hidden = table.assign(**table[OUTCOMES].mask(open_ & (table.index != row)))
        yield not run.X.loc[row].equals(pipeline(hidden).X.loc[row])


def out_of_order(run, pipeline, table):
    """Labels of training not certain when the first flight of the test was decided; what was sent again is set aside."""
    first = run.test[~table.duplicated(KEY)[run.test.index]]
    yield label_time(run.train, DESK).max() > decision_time(first, DESK).min()


def learned_from_test(run, pipeline, table):
    """Features of training that move with the weather of the test."""
    tested = table.index.to_series().isin(run.test.index)
    again = pipeline(table.assign(**table[SKY].mask(tested)))
    yield not run.X.loc[run.train.index].equals(again.X.loc[run.train.index])


def on_both_sides(run, pipeline, table):
    """Flights on both sides."""
    yield not run.train.merge(run.test, on=KEY).empty


def chosen_by_test(run, pipeline, table):
    """Predictions that move with the outcomes of the test though no feature moves."""
    flipped = table.copy()
    flipped.loc[run.test.index, "arr_delay"] = np.where(label(run.test), -5, np.nan)
    again = pipeline(flipped)
    same = [row for row in run.test.index if run.X.loc[row].equals(again.X.loc[row])]
    yield not run.p[same].equals(again.p[same])


def not_the_auc(run, pipeline, table):
    """A score that is not the AUC of the predictions."""
    from sklearn.metrics import roc_auc_score

    yield not np.isclose(run.score, roc_auc_score(label(run.test), run.p))


def served_otherwise(run, pipeline, table):
    """A service that gives other probabilities."""
    yield not run.serve(table)[run.p.index].equals(run.p)


DETECTORS = dict(zip(FAULTS, (own_outcome, others_outcomes, out_of_order, learned_from_test, on_both_sides,
                              chosen_by_test, not_the_auc, served_otherwise), strict=True))  # fmt: skip


def seen(pipeline, table):
    """Names of the faults that the detectors see."""
    run = pipeline(table)
    return {fault for fault, sees in DETECTORS.items() if any(sees(run, pipeline, table))}


@pytest.fixture(scope="module")
def table():
    return gym.flights(7)


@pytest.mark.parametrize("letter", PIPELINES)
def test_each_pipeline_has_its_one_fault_and_its_mend_has_none(letter, table):
    """What every refusal states is measured here: a detector sees its own fault and no other."""
    assert seen(PIPELINES[letter], table) == ({TRUTH[letter]} & set(FAULTS))
    assert not seen(gym.mended(letter), table)


def test_the_example_is_mended():
    table = gym.flights(8)
    assert "leak through an aggregate" in seen(gym.example, table)
    assert not seen(gym.mended("example"), table)


def test_eight_faults_once_and_two_right():
    assert sorted(TRUTH[letter] for letter in FAULTY) == sorted(FAULTS)
    assert len(RIGHT) == 2 and list(PIPELINES) == list("abcdefghij")


# The feed


@pytest.mark.parametrize("outcomes", ("real", "easy", "coin"))
def test_the_feed(outcomes):
    table = gym.flights(3, outcomes=outcomes)
    assert table.equals(gym.flights(3, outcomes=outcomes)) and not table.equals(
        gym.flights(4, outcomes=outcomes)
    )
    assert table.received.is_monotonic_increasing and (table.received >= label_time(table, DESK)).all()
    again = table[table.duplicated(KEY, keep=False)].drop(columns="received")
    assert 0.08 < table.duplicated(KEY).mean() < 0.15
    assert len(again.drop_duplicates()) == again[KEY].drop_duplicates().shape[0], "sent again, unchanged"
    late_hour = table.hour >= 16
    assert (label(table) == late_hour).all() == (outcomes == "easy")


def test_coins_keep_the_share_of_bad_flights():
    real, coin = (gym.once(gym.flights(3, outcomes=kind)) for kind in ("real", "coin"))
    assert label(real).sum() == label(coin).sum() and not label(real).equals(label(coin))


@pytest.mark.parametrize("letter", ["example", *PIPELINES])
def test_pipelines_are_pure(letter, table):
    before, pipeline = table.copy(), getattr(gym, letter)
    runs = [pipeline(table) for _ in range(2)]
    pd.testing.assert_frame_equal(table, before)
    assert runs[0].p.equals(runs[1].p) and runs[0].score == runs[1].score
    assert runs[0].p.index.equals(runs[0].test.index) and runs[0].p.between(0, 1).all()
    assert set(runs[0].train.index) | set(runs[0].test.index) <= set(runs[0].X.index)


def test_auc_is_that_of_scikit_learn(table):
    from sklearn.metrics import roc_auc_score

    p = pd.Series(np.random.default_rng(0).integers(0, 9, len(table)) / 9, table.index)  # with ties
    assert np.isclose(gym.auc(table, p), roc_auc_score(label(table), p))
    assert np.isnan(gym.auc(table[label(table)], p[label(table)]))


# What a fault is worth


@pytest.fixture(scope="module")
def worth():
    """AUC promised and AUC kept, by letter: mean of three years of flights."""
    rows = []
    for seed in range(3):
        year = gym.flights(seed, days=365, share=1 / 30)
        for letter in FAULTY:
            run = PIPELINES[letter](year)
            served = gym.auc(run.test, run.serve(year)[run.p.index])
            kept = served if TRUTH[letter] == "train/serve skew" else gym.mended(letter)(year).score
            rows.append((TRUTH[letter], run.score, kept))
    return pd.DataFrame(rows, columns=["fault", "promised", "kept"]).groupby("fault").mean()


def test_faults_flatter(worth):
    gain = worth.promised - worth.kept
    silent = "imputer fitted on everything"
    assert (gain.drop(silent) > 0).all() and abs(gain[silent]) < 0.015, gain


def test_all_look_good(worth):
    assert worth.promised.between(0.6, 0.9).all(), worth


# The judge


def line(exercise, letter, verdict, seed=0):
    """The line of the message on one pipeline."""
    outcome = judge(find(exercise), {letter: verdict}, seed)
    assert outcome.kind in ("not yet", "fragile")
    return next(text for text in outcome.message.splitlines() if text.startswith(f"{letter}: "))


EXERCISE = {letter: find("gym-2" if letter in "abcde" else "gym-3") for letter in PIPELINES}
SOLUTION = {e.id: e.reference for e in EXERCISE.values()}
never = lambda pipeline, flights: False


@pytest.mark.parametrize("letter", PIPELINES)
def test_every_wrong_name_is_refused_with_its_reason(letter):
    exercise = EXERCISE[letter].id
    for fault in set(FAULTS) - {TRUTH[letter]}:
        said = line(exercise, letter, (fault, never))
        start = "-10, a false accusation" if letter in RIGHT else "+0, that is not its fault"
        assert said == f"{letter}: {start}: {gym.reason(letter, fault)}"
    if letter in FAULTY:
        assert line(exercise, letter, "right") == f"{letter}: +0, {gym.MISSED}"
        assert gym.UNPROVED in line(exercise, letter, TRUTH[letter])
    with pytest.raises(ValueError, match="does not have"):
        gym.reason(letter, "right" if letter in RIGHT else TRUTH[letter])


def test_reasons_belong_to_wrong_accusations():
    assert all(TRUTH[letter] != fault and fault in FAULTS for letter, fault in gym.TEMPTING)
    assert set(gym.ABSENT) == set(FAULTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_tests_prove_their_fault(seed):
    judge = gym.Judge(np.random.default_rng(seed))
    for letter in FAULTY:
        fault, proof = SOLUTION[EXERCISE[letter].id][letter]
        assert fault == TRUTH[letter] and judge.fault(letter, proof) == ""


def counts_its_calls():
    calls = []

    def proof(pipeline, flights):
        calls.append(1)
        return len(calls) > 2  # the judge begins with the faulty one, on two tables

    return proof


def knows_the_scores(pipeline, flights):
    return pipeline(flights).score < 0.6


CHEATS = {
    "always fails": (never, "gym"),
    "never fails": (lambda pipeline, flights: True, gym.PASSES),
    "says nothing": (lambda pipeline, flights: None, gym.PASSES),
    "reads the name": (lambda pipeline, flights: pipeline.__name__ != "d", gym.LOOKS),
    "reads the code": (lambda pipeline, flights: "mean" not in pipeline.__code__.co_names, gym.LOOKS),
    "reads the source": (lambda pipeline, flights: "mean" not in __import__("inspect").getsource(pipeline), gym.LOOKS),
    "reads the service": (lambda p, f: p(f).serve.__qualname__.startswith("d"), gym.LOOKS),
    "compares with the gym's": (lambda pipeline, flights: pipeline is not gym.d, gym.PASSES),
    "asks for the type": (lambda pipeline, flights: "d" not in repr(type(pipeline)).split(".")[-1], "gym"),
    "crashes": (lambda pipeline, flights: 1 / 0, gym.CRASHES),
    "exits": (lambda pipeline, flights: exit(), gym.CRASHES),
    "returns a number": (lambda pipeline, flights: pipeline(flights).score, gym.ODD),
    "score is too good": (knows_the_scores, gym.FLATTERED),
    "writes into the table": (lambda p, f: f.__setitem__("hour", 0) or False, gym.CHANGES),
    "is no function": ("fails", gym.NO_TEST),
}  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheating_proof_is_refused(cheat):
    proof, message = CHEATS[cheat]
    said = gym.Judge(np.random.default_rng(0)).fault("d", proof)
    assert message in said if message != "gym" else said in (gym.ALWAYS, gym.PASSES), said


def test_a_result_cannot_be_spoiled_for_the_next_test():
    def spoils(pipeline, flights):
        run = pipeline(flights)
        run.X.loc[:, "hour"] = 0
        run.p[:] = 0.5

    world = gym.World(gym.flights(2))
    assert world.tried(spoils, gym.c) == "pass"
    before = gym.c(world.table)
    after = world.run(gym.c, world.table)
    assert after.X.equals(before.X) and after.p.equals(before.p)


def test_right_on_the_example_alone_is_fragile():
    days = gym.flights().day.unique()
    number = gym.flights().flight.iloc[0]

    def twice(pipeline, flights):
        assert flights.flight.iloc[0] == number  # true of the lesson's own table
        run = pipeline(flights)
        return run.train.merge(run.test, on=KEY).empty

    def knows_it(pipeline, flights):
        run = pipeline(flights)
        first = run.test[run.test.flight == number]
        return (
            run.train.merge(run.test, on=KEY).empty and flights.flight.iloc[0] == number and len(first) >= 0
        )

    answer = SOLUTION["gym-2"] | {"e": ("duplicates across the split", knows_it)}
    outcome = judge(find("gym-2"), answer, 0)
    assert outcome.kind == "fragile" and "drawn anew" in outcome.message and len(days), outcome
    assert gym.ALWAYS in outcome.message or gym.STRICT in outcome.message
    assert (
        judge(find("gym-2"), SOLUTION["gym-2"] | {"e": ("duplicates across the split", twice)}, 0).kind
        == "fragile"
    )


def test_points_are_counted():
    answer = {
        "a": SOLUTION["gym-2"]["a"],
        "b": "target in a feature",
        "c": ("wrong average", never),
        "d": "right",
    }
    message = judge(find("gym-2"), answer, 0).message
    assert message.startswith("4 of 50 points.") and "e: +0, left out." in message


@pytest.mark.parametrize(
    "wrong", [{"z": "right"}, ["right"], {"a": 3}, {"a": ("right",)}, {"a": (1, 2, 3)}, {}]
)
def test_a_malformed_answer_is_told(wrong):
    assert judge(find("gym-2"), wrong, 0).kind in ("not yet", "to do")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="letter from a to j"):
        gym.mended("z")


def test_a_mend_is_a_diff():
    for letter in ("example", *FAULTY):
        lines = gym.mend(letter).splitlines()
        assert 2 <= len(lines) <= 10 and {line[0] for line in lines} == {"-", "+"}
    assert gym.mend(RIGHT[0]) == "nothing to mend"
    for name, changes in gym.MENDS.items():
        source = __import__("inspect").getsource(getattr(gym, name))
        assert all(source.count(old) == 1 for old, _ in changes), name
