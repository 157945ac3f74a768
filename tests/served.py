"""What the tests of the service share: a registry with two small models, flights, and services to ask."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection

import numpy as np
import pandas as pd
import pytest

from mlcourse.check_service import FLIGHT
from mlcourse.features import FEATURES
from mlcourse.models import make_model
from mlcourse.registry import Registry
from mlcourse.serve import _LIMITS as GROUPS

NAME = "bad-flights"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("MLCOURSE_")} | {"PYTHONUNBUFFERED": "1"}


def table(n=1500, seed=0):
    """Features (n, 38) and labels that follow from them."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            c: rng.uniform(*((GROUPS[g].get(c)) or (0, 23))[:2], n)
            for g, names in FEATURES.items()
            for c in names
        }
    )
    for c, values in {
        "origin": ["EWR", "JFK", "LGA"],
        "carrier": ["DL", "UA", "AA"],
        "dest": ["LAX", "BOS"],
    }.items():
        X[c] = pd.Categorical(rng.choice(values, n), values)
    X = X.mask(rng.random(X.shape) < 0.1)
    return X, (X.airport_late_3h.fillna(0.5) + rng.random(n) > 1).to_numpy()


def fill(registry, seeds=(0, 1)):
    """Versions 1, 2, … of small models in a registry; version 1 is the champion, the last one the challenger."""
    for seed in seeds:
        X, y = table(seed=seed)
        model = make_model("boosting", max_iter=8, min_samples_leaf=20).fit(X, y)
        version = registry.save(model, NAME, example=X[:100], card=f"# Model {seed}")
        registry.promote(NAME, version, "champion" if seed == seeds[0] else "challenger", force="a test")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder of a filled registry."""
    folder = tmp_path_factory.mktemp("registry")
    fill(Registry(folder))
    return folder


@pytest.fixture
def registry(place):
    """The registry, with its first version the champion again."""
    found = Registry(place)
    if found.current(NAME) != "1":
        found.promote(NAME, "1", force="a test")
    return found


class Client:
    """One connection that stays open."""

    def __init__(self, url, **headers):
        self.connection = HTTPConnection(url.partition("//")[2], timeout=30)
        self.headers = {"Content-Type": "application/json", **headers}

    def ask(self, method, path, thing=None):
        """Status and JSON (or text) of the answer."""
        body = thing if thing is None or isinstance(thing, bytes) else json.dumps(thing)
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def predict(self, *flights):
        """Status and JSON of POST /predict."""
        return self.ask("POST", "/predict", {"flights": [FLIGHT | f for f in flights]})


@contextmanager
def process(place, log, *options, before=None, **env):
    """A service in a process of its own: (address, process), ended in the end."""
    command = [
        sys.executable,
        "-m",
        "mlcourse",
        "serve",
        "--registry",
        str(place),
        "--log",
        str(log),
        "--port",
        "0",
    ]
    child = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, env=ENV | env, preexec_fn=before
    )
    try:
        for line in child.stdout:
            if found := re.search(r'"event": "listening", "address": "(.*?)"', line):
                break
        else:
            raise AssertionError("the service did not start")
        wait(found[1])
        yield found[1], child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.communicate(timeout=40)


def wait(url, seconds=30):
    """Until the service says that it is ready."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Client(url).ask("GET", "/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError("the service is not ready")
