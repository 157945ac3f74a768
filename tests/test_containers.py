"""deploy/: the files keep their promises, and an image that is really built runs, breaks, rolls out and stops as lesson 20 says."""

import http.server
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import distribution
from pathlib import Path

import containers
import pytest
import yaml
from conftest import ROOT
from containers import IMAGE, Engine
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_notebooks import NOTEBOOKS

import mlcourse
from mlcourse.exercises.engine import find
from mlcourse.serve import read_log

DEPLOY = ROOT / "deploy"
OVERLAYS = sorted(p.name for p in (DEPLOY / "k8s" / "overlays").iterdir())
quantity = find("containers-2").reference
spec = importlib.util.spec_from_file_location("render", DEPLOY / "render.py")
render = importlib.util.module_from_spec(spec)
spec.loader.exec_module(render)
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def objects(overlay):
    """What an overlay renders to."""
    return render.render(DEPLOY / "k8s" / "overlays" / overlay)


def one(things, kind, name="serve"):
    """The object of that kind whose name begins so."""
    (found,) = (o for o in things if o["kind"] == kind and o["metadata"]["name"].startswith(name))
    return found


# Manifests


@each_overlay
@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here to compare with")
def test_renderer_says_what_kubectl_says(overlay):
    command = ["kubectl", "kustomize", DEPLOY / "k8s" / "overlays" / overlay]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    name = lambda o: (o["kind"], o["metadata"]["name"])
    assert sorted(objects(overlay), key=name) == sorted(yaml.safe_load_all(told.stdout), key=name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resources: []\nhelmCharts: []", "helmCharts.*not rendered"),
        ("patches: [{path: patch.yaml}]", "no Deployment is called 'nobody'"),
        ("configMapGenerator: [{name: x, behavior: merge, literals: [a=b]}]", "no ConfigMap is called 'x'"),
    ],
)
def test_renderer_refuses_what_it_does_not_know(tmp_path, text, said):
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "patch.yaml").write_text("kind: Deployment\nmetadata: {name: nobody}")
    with pytest.raises(ValueError, match=said):
        render.render(tmp_path)


def test_another_setting_is_another_name(tmp_path):
    """So a changed ConfigMap changes the Deployment, which rolls out, and rolls back to the old one."""
    shutil.copytree(DEPLOY / "k8s", tmp_path / "k8s")
    path = tmp_path / "k8s" / "base" / "kustomization.yaml"
    path.write_text(path.read_text().replace("champion", "challenger"))
    old, new = objects("laptop"), render.render(tmp_path / "k8s" / "overlays" / "laptop")
    names = [one(o, "ConfigMap")["metadata"]["name"] for o in (old, new)]
    assert names[0] != names[1]
    for things, name in zip((old, new), names, strict=True):
        (container,) = render.pod(one(things, "Deployment"))["containers"]
        assert {"configMapRef": {"name": name}} in container["envFrom"]


def validated(things, folder):
    """What kubernetes-validate says against objects, warnings too, and how many of them pass."""
    (folder / "all.yaml").write_text(yaml.safe_dump_all(things))
    command = [Path(sys.executable).with_name("kubernetes-validate"), "--strict", folder / "all.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    against = [line for line in said if not line.startswith("INFO")] + ["failed"] * (done.returncode != 0)
    return against, sum("passed for resource" in line for line in said)


@each_overlay
def test_manifests_are_valid(overlay, tmp_path):
    things = objects(overlay)
    assert validated(things, tmp_path) == ([], len(things))
    kinds = "Deployment Service ConfigMap HorizontalPodAutoscaler PodDisruptionBudget NetworkPolicy".split()
    assert {o["kind"] for o in things} >= set(kinds)


BREACHES = (
    lambda d: d["spec"].update(replica=2),
    lambda d: d["spec"].update(replicas="2"),
    lambda d: d["spec"].pop("selector"),
    lambda d: d["spec"]["template"]["spec"]["containers"][0].update(readynessProbe={}),
    lambda d: d.update(apiVersion="apps/v9"),
)


def test_breaches_are_seen(tmp_path):
    broken = [one(objects("laptop"), "Deployment") for _ in BREACHES]
    for deployment, breach in zip(broken, BREACHES, strict=True):
        breach(deployment)
    against, passed = validated(broken, tmp_path)
    assert against and passed == 0
    against, passed = validated([one(objects("laptop"), "Deployment"), *broken[:-1]], tmp_path)
    assert against and passed == 1


def faults(things):
    """What does not fit together, or is not safe, in rendered objects."""
    deployment = one(things, "Deployment")
    labels, pod = deployment["spec"]["template"]["metadata"]["labels"], render.pod(deployment)
    (container,) = pod["containers"]
    ports = {p["name"] for p in container["ports"]}
    yield from (
        f"{what} selects other pods"
        for what, wanted in selectors(things)
        if not wanted.items() <= labels.items()
    )
    (target,) = (
        o["spec"]["scaleTargetRef"]["name"] for o in things if o["kind"] == "HorizontalPodAutoscaler"
    )
    named = [p["targetPort"] for p in one(things, "Service")["spec"]["ports"]]
    named += [
        container[k]["httpGet"]["port"]
        for k in container
        if k.endswith("Probe") and "httpGet" in container[k]
    ]
    if target != deployment["metadata"]["name"] or not set(named) <= ports:
        yield "a name points nowhere"
    if {m["name"] for m in container["volumeMounts"]} != {v["name"] for v in pod["volumes"]}:
        yield "volumes and mounts differ"
    claims = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    if claims != {o["metadata"]["name"] for o in things if o["kind"] == "PersistentVolumeClaim"}:
        yield "a claim is lacking"
    if pod["terminationGracePeriodSeconds"] <= container["lifecycle"]["preStop"]["sleep"]["seconds"] + 30:
        yield "killed while it answers"  # uvicorn is given 30 s for that
    yield from unsafe(pod, container)
    yield from unfit(container)


def selectors(things):
    """Every selector of the pods, with the object that it is of."""
    for o in things:
        spec = o["spec"] if "spec" in o else {}
        for key in ("selector", "podSelector"):
            if key in spec:
                yield (
                    o["kind"],
                    spec[key].get("matchLabels", spec[key]) if o["kind"] != "Service" else spec[key],
                )
        for spread in render.pod(o).get("topologySpreadConstraints", []):
            yield "a topology constraint", spread["labelSelector"]["matchLabels"]


def unsafe(pod, container):
    """Breaches of Kubernetes' restricted profile, and of our own rules."""
    mine, its = pod["securityContext"], container["securityContext"]
    rules = {
        "may be root": mine["runAsNonRoot"] is True and mine["runAsUser"] == 10001,
        "no seccomp": mine["seccompProfile"]["type"] == "RuntimeDefault",
        "may gain rights": its["allowPrivilegeEscalation"] is False
        and its["capabilities"] == {"drop": ["ALL"]},
        "root file system is open": its["readOnlyRootFilesystem"] is True,
        "holds a token": pod["automountServiceAccountToken"] is False,
        "host": not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        and not any("hostPath" in v for v in pod["volumes"]),
        "a moving tag": re.search(r":[0-9]+\.[0-9]+\.[0-9]+$", container["image"]),
    }
    yield from (name for name, kept in rules.items() if not kept)


def unfit(container):
    """Quantities and times that do not make sense together."""
    wants, most = (
        {k: quantity(v) for k, v in container["resources"][part].items()} for part in ("requests", "limits")
    )
    if not all(0 < wants[k] <= most[k] for k in ("cpu", "memory")):
        yield "requests and limits"
    if wants["memory"] != most["memory"] or not 200e6 < most["memory"] < 2e9:
        yield "memory"
    if not {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container):
        yield "probes"
    elif (container["startupProbe"]["failureThreshold"] - 1) * container["startupProbe"][
        "periodSeconds"
    ] < 60:
        yield "a slow start is killed"


@each_overlay
def test_manifests_fit_together(overlay):
    assert not list(faults(objects(overlay)))


@pytest.mark.parametrize(
    "breach",
    [
        lambda t: one(t, "Service")["spec"]["selector"].update(app="server"),
        lambda t: one(t, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(tier="x"),
        lambda t: one(t, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].update(app="x"),
        lambda t: one(t, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="x"),
        lambda t: one(t, "Service")["spec"]["ports"][0].update(targetPort="web"),
        lambda t: render.pod(one(t, "Deployment"))["volumes"].pop(),
        lambda t: render.pod(one(t, "Deployment"))["securityContext"].update(runAsUser=0),
        lambda t: render.pod(one(t, "Deployment"))["containers"][0].update(image="localhost/mlcourse:latest"),
        lambda t: render.pod(one(t, "Deployment"))["containers"][0]["resources"]["limits"].update(
            memory="512m"
        ),
        lambda t: render.pod(one(t, "Deployment"))["containers"][0]["startupProbe"].update(
            failureThreshold=3
        ),
        lambda t: render.pod(one(t, "Deployment")).update(terminationGracePeriodSeconds=30),
        lambda t: t.remove(one(t, "PersistentVolumeClaim", "predictions")),
    ],
)
def test_a_misfit_is_seen(breach):
    things = objects("laptop")
    breach(things)
    assert list(faults(things))


def test_settings_are_those_that_the_service_reads():
    """Each MLCOURSE_ variable of Dockerfile, compose file and manifests is one that `mlcourse serve` knows."""
    source = (ROOT / "mlcourse" / "cli.py").read_text(encoding="utf-8")
    known = set(re.findall(r"MLCOURSE_[A-Z_]+", source))
    files = [p for p in DEPLOY.rglob("*") if p.is_file() and p.suffix in ("", ".yaml", ".py")]
    used = {name for p in files for name in re.findall(r"MLCOURSE_[A-Z_]+", p.read_text(encoding="utf-8"))}
    assert {"MLCOURSE_REGISTRY", "MLCOURSE_LOG", "MLCOURSE_HOST"} <= used <= known


def test_image_is_of_this_version():
    names = [c["image"] for o in OVERLAYS for c in render.pod(one(objects(o), "Deployment"))["containers"]]
    names.append(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["serve"]["image"])
    assert {name.rpartition(":")[2] for name in names} == {mlcourse.__version__} and IMAGE in names
    told = [
        (DEPLOY / "Dockerfile").read_text(),
        next(p for p in NOTEBOOKS if p.stem == "20_containers").read_text(),
    ]
    assert {v for text in told for v in re.findall(r"mlcourse:([0-9.]+[0-9])", text)} == {
        mlcourse.__version__
    }


# What the image installs


def pins(path):
    """Version of each package that a list of requirements names."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): str(r.specifier) for r in found}


def closure(names):
    """All packages that these need, on Linux with this Python."""
    todo, seen = [Requirement(name) for name in names], {}
    while todo:
        want = todo.pop()
        name, extras = canonicalize_name(want.name), {"", *want.extras}
        if extras <= seen.get(name, set()):
            continue
        seen[name] = seen.get(name, set()) | extras
        needs = (Requirement(line) for line in distribution(name).requires or [])
        todo += [r for r in needs if not r.marker or any(r.marker.evaluate({"extra": e}) for e in seen[name])]
    return set(seen)


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux needs is told by a Linux installation only")
def test_requirements_are_tested_versions_of_what_is_needed():
    lines = (DEPLOY / "requirements.in").read_text(encoding="utf-8").splitlines()
    wanted = closure(line for line in lines if line and not line.startswith("#"))
    listed, tested = pins(DEPLOY / "requirements.txt"), pins(ROOT / "constraints.txt")
    assert set(listed) == wanted, "renew it: deploy/requirements.in says how"
    assert {name: tested[name] for name in listed} == listed


class Answers(http.server.BaseHTTPRequestHandler):
    """200 on /ready, 503 on any other path."""

    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_healthcheck_tells_by_its_exit_code():
    check = lambda port, *path: subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py", *path],
        env=os.environ | {"MLCOURSE_PORT": str(port)}, capture_output=True, text=True,
    )  # fmt: skip
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert check(port).returncode == 0
        failed = check(port, "/health")
        assert failed.returncode == 1 and "/health: HTTP Error 503" in failed.stderr
        server.shutdown()
    assert check(port).returncode == 1


# The image, built and run


@pytest.fixture(scope="module")
def podman():
    """An engine with the course's image; all of it is gone afterwards."""
    if why := containers.missing():
        pytest.skip(f"no container engine: {why}")
    try:
        engine = Engine(Path(tempfile.mkdtemp(prefix="podman-"))).__enter__()  # a short path: conmon needs it
    except OSError as error:
        pytest.skip(f"no container engine: {error}")
    try:
        engine.build()
        yield engine
    finally:
        engine.__exit__()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with two versions of a small model, the first of them the champion."""
    from mlcourse.data import load
    from mlcourse.features import FlightFeatures
    from mlcourse.frame import label
    from mlcourse.models import make_model
    from mlcourse.registry import Registry

    flights = load("flights").query("month == 1 and day <= 3")
    X, y = FlightFeatures().fit(flights).transform(flights), label(flights).to_numpy()
    store = Registry(tmp_path_factory.mktemp("registry"))
    for rows in (slice(None), slice(None, None, 2)):
        version = store.save(make_model("logistic").fit(X[rows], y[rows]), "bad-flights", example=X[:50])
        store.promote(
            "bad-flights", version, {"1": "champion", "2": "challenger"}[version], force="for a test"
        )
    folder = Path(store.address.removeprefix("sqlite:///")).parent
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # another user reads it
    return folder


FLIGHT = {"carrier": "DL", "flight": 422, "origin": "JFK", "dest": "LAX", "scheduled": "2013-07-01T18:45:00-04:00",
          "arrival_hour": 21, "distance": 2475.0}  # fmt: skip
HARD = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def start(podman, registry, *more, name="serve", memory="512m", check=True):
    """A container of the image, as compose.yaml runs it, its log on a volume of its own name."""
    limits = [f"--memory={memory}", f"--memory-swap={memory}", "--publish=127.0.0.1:8000:8000"]
    volumes = [f"--volume={registry}:/registry:ro"]
    if not any("/log" in str(option) for option in more):
        volumes.append(f"--volume={name}:/log")
    return podman("run", "--detach", f"--name={name}", *HARD, *limits, *volumes, *more, IMAGE, check=check)


@pytest.fixture
def fresh(podman):
    """The engine, with no container before and after."""
    yield podman
    podman("pod", "rm", "--force", "--all", check=False)
    podman("rm", "--force", "--all", "--time=0")
    podman("volume", "rm", "--force", "--all")


@pytest.fixture
def running(fresh, registry):
    """A container called serve that is ready."""
    start(fresh, registry)
    assert ready(fresh), fresh("logs", "serve").stderr
    return fresh


def ready(podman, name="serve"):
    """Whether the container comes to be ready, rather than to its end."""
    podman.until(lambda: podman.ask("/ready")[0] == 200 or state(podman, name)[0] in ENDED)
    return podman.ask("/ready")[0] == 200


def state(podman, name="serve"):
    """Status, exit code of a container."""
    return tuple(podman("inspect", name, "--format={{.State.Status}} {{.State.ExitCode}}").stdout.split())


ENDED = ("exited", "stopped")  # podman has tidied up after it, or has yet to


def ended(podman, name="serve"):
    """Exit code and output of a container that ends by itself."""
    assert podman.until(lambda: state(podman, name)[0] in ENDED), state(podman, name)
    said = podman("logs", name)
    return int(state(podman, name)[1]), said.stdout + said.stderr


def copied(podman, volume, tmp_path):
    """The prediction log on a volume, read."""
    place = podman("volume", "inspect", volume, "--format={{.Mountpoint}}").stdout.strip()
    return read_log(shutil.copytree(place, tmp_path / "log") / "predictions.db")[0]


def predict(podman, *changes):
    """Answer of /predict to the flight with each of these changes."""
    flights = [FLIGHT | change for change in changes or ({},)]
    return podman.ask("/predict", json.dumps({"flights": flights}))


def test_it_answers_and_refuses(running):
    status, text = predict(running)
    told = json.loads(text)
    assert status == 200 and told["version"] == "1" and 0 < told["predictions"][0]["probability"] < 1
    assert running.ask("/health")[0] == running.ask("/metrics")[0] == 200
    for wrong in ({"distance": False}, {"flight": "422"}, {"colour": "blue"}):
        assert predict(running, wrong)[0] == 422


def test_it_may_do_nothing_but_serve(running):
    run = lambda command: running("exec", "serve", "sh", "-c", command, check=False)
    assert run("id -u; id -g").stdout.split() == ["10001", "10001"]
    status = dict(re.findall(r"(\w+):\s+(\S+)", run("cat /proc/1/status").stdout))
    assert (status["Uid"], status["NoNewPrivs"], status["Seccomp"]) == ("10001", "1", "2")
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert b"mlcourse" in run("cat /proc/1/cmdline").stdout.encode()
    for place in ("/", "/registry", "/venv/bin"):
        assert "Read-only file system" in run(f"touch {place}/x").stderr
    assert run("touch /log/x /tmp/x && rm /log/x").returncode == 0


def test_image_holds_no_more_than_it_needs(podman):
    """Packages are those listed, of those versions; no pip, no source, nothing that the service could change."""
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    run = lambda *command: (
        podman("run", "--rm", "--user=0", "--entrypoint", command[0], IMAGE, *command[1:]).stdout
    )
    lines = (Requirement(line) for line in run("python", "-c", code).split())
    inside = {canonicalize_name(r.name): str(r.specifier) for r in lines}
    assert inside.pop("mlcourse") == f"=={mlcourse.__version__}"
    assert inside == pins(DEPLOY / "requirements.txt")
    assert (
        run(
            "sh", "-c", "ls -d /build /root/.cache 2>/dev/null; find / -xdev -user 10001 -not -path '/proc/*'"
        )
        == "/log\n"
    )


def test_healthcheck_follows_the_service(running):
    assert running("healthcheck", "run", "serve").returncode == 0
    failed = running("exec", "serve", "python", "/healthcheck.py", "/nowhere", check=False)
    assert failed.returncode == 1 and "404" in failed.stderr


def test_a_stop_is_clean_and_loses_nothing(running, tmp_path):
    for number in range(1, 6):
        assert predict(running, {"flight": number}, {"flight": number + 100})[0] == 200
    running("stop", "--time=30", "serve")
    code, said = ended(running)
    assert code == 0 and json.loads(said.splitlines()[-1])["event"] == "stopped"
    kept = copied(running, "serve", tmp_path)
    assert sorted(kept.flight) == [1, 2, 3, 4, 5, 101, 102, 103, 104, 105]
    assert not list((tmp_path / "log").glob("*-wal"))


def test_a_kill_loses_nothing_either(running, tmp_path):
    assert predict(running, {"flight": 7})[0] == 200
    running("kill", "--signal=KILL", "serve")
    assert ended(running)[0] == 137
    assert list(copied(running, "serve", tmp_path).flight) == [7]


def test_out_of_memory_is_137(fresh, registry):
    start(fresh, registry, memory="64m")
    assert ended(fresh)[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("--env=MLCOURSE_REGISTRY=/nowhere", "no registry at /nowhere"),
        ("--env=MLCOURSE_MODEL=nobody", "nobody.? has no version or alias"),
        ("--env=MLCOURSE_PORT=many", "MLCOURSE_PORT|--port"),
        ("--env=MLCOURSE_LOG=/registry/predictions.db", "[Rr]ead-only|/registry"),
    ],
)
def test_a_bad_setting_ends_it_at_once_with_a_reason(fresh, registry, setting, said):
    start(fresh, registry, setting)
    code, text = ended(fresh)
    assert code in (1, 2) and re.search(said, text) and "Traceback" not in text


def test_a_full_disk_makes_it_unready_not_dead(fresh, registry):
    disk = fresh.folder / "disk"
    disk.mkdir()
    fresh.inside("mount", "-t", "tmpfs", "-o", "size=16m,uid=10001,gid=10001", "tmpfs", disk)
    start(fresh, registry, f"--volume={disk}:/log")
    assert ready(fresh), fresh("logs", "serve").stderr
    fresh.inside("dd", "if=/dev/zero", f"of={disk}/full", "bs=64k", check=False)  # until no space is left
    many = [{"flight": n} for n in range(1, 1000)]
    assert fresh.until(lambda: predict(fresh, *many)[0] == 503, 20)
    assert fresh.until(lambda: fresh.ask("/ready")[0] == 503, 20)
    assert fresh.ask("/health")[0] == 200
    assert fresh("healthcheck", "run", "serve", check=False).returncode == 1


# Kubernetes' Deployment, played by podman


def play(podman, things, *options):
    """`podman kube play` of what it knows: the Deployment and its ConfigMap."""
    path = podman.folder / "play.yaml"
    path.write_text(yaml.safe_dump_all(o for o in things if o["kind"] in ("ConfigMap", "Deployment")))
    return podman("kube", "play", *options, path)


def told(**settings):
    """The laptop's objects with other settings in its ConfigMap."""
    things = objects("laptop")
    map = one(things, "ConfigMap")
    map["data"] |= settings
    (container,) = render.pod(one(things, "Deployment"))["containers"]
    map["metadata"]["name"] = render.hashed(map | {"metadata": {"name": "serve"}})
    container["envFrom"][0]["configMapRef"]["name"] = map["metadata"]["name"]
    return things


def answering(podman):
    """Version that answers; None if nobody does."""
    status, text = podman.ask("/model")
    return json.loads(text)["version"] if status == 200 else None


@pytest.fixture
def volumes(fresh, registry):
    """The engine with the volume `registry`, filled."""
    fresh("volume", "create", "registry")
    shutil.make_archive(fresh.folder / "registry", "tar", registry)
    fresh("volume", "import", "registry", fresh.folder / "registry.tar")
    return fresh


def test_deployment_runs(volumes, tmp_path):
    play(volumes, objects("laptop"))
    assert volumes.until(lambda: answering(volumes) == "1"), volumes("logs", "serve-pod-0-serve").stderr
    (facts,) = json.loads(volumes("inspect", "serve-pod-0-serve").stdout)
    assert facts["HostConfig"]["ReadonlyRootfs"] and not facts["EffectiveCaps"]
    assert "no-new-privileges" in facts["HostConfig"]["SecurityOpt"]
    assert facts["HostConfig"]["Memory"] == 512 * 2**20 and facts["HostConfig"]["NanoCpus"] == 10**9
    assert {"MLCOURSE_ALIAS=champion", "MLCOURSE_REGISTRY=/registry"} <= set(facts["Config"]["Env"])
    assert volumes("exec", "serve-pod-0-serve", "id", "-u").stdout.strip() == "10001"
    for place in ("/", "/registry"):
        touched = volumes("exec", "serve-pod-0-serve", "touch", f"{place}/x", check=False)
        assert "Read-only file system" in touched.stderr
    assert volumes("healthcheck", "run", "serve-pod-0-serve").returncode == 0

    assert predict(volumes, {"flight": 7})[0] == 200
    volumes.inside("kill", "-9", facts["State"]["Pid"])
    count = "--format={{.RestartCount}}"
    assert volumes.until(lambda: volumes("inspect", "serve-pod-0-serve", count).stdout.strip() == "1")
    assert volumes.until(lambda: predict(volumes, {"flight": 8})[0] == 200)
    assert list(copied(volumes, "predictions", tmp_path).flight) == [7, 8]


def test_rollout_and_rollback(volumes):
    play(volumes, told())
    assert volumes.until(lambda: answering(volumes) == "1")
    play(volumes, told(MLCOURSE_ALIAS="challenger"), "--replace")
    assert volumes.until(lambda: answering(volumes) == "2")
    play(volumes, told(MLCOURSE_ALIAS="nobody"), "--replace")
    assert volumes.until(
        lambda: "no version or alias 'nobody'" in volumes("logs", "serve-pod-0-serve").stderr
    )
    assert answering(volumes) is None
    play(volumes, told(MLCOURSE_ALIAS="challenger"), "--replace")
    assert volumes.until(lambda: answering(volumes) == "2")


@pytest.mark.skipif(not shutil.which("podman-compose"), reason="no podman-compose here")
def test_compose_runs(fresh, registry):
    compose = lambda *words: fresh.inside(
        "env", f"MLCOURSE_REGISTRY={registry}", "podman-compose", "--file", DEPLOY / "compose.yaml", *words
    )
    compose("up", "--detach")
    try:
        assert fresh.until(lambda: predict(fresh)[0] == 200)
        (name,) = fresh("ps", "--format={{.Names}}").stdout.split()
        (facts,) = json.loads(fresh("inspect", name).stdout)
        assert facts["HostConfig"]["ReadonlyRootfs"] and not facts["EffectiveCaps"]
        assert facts["HostConfig"]["Memory"] == 512 * 2**20
        assert fresh("exec", name, "id", "-u").stdout.strip() == "10001"
    finally:
        compose("down", "--volumes")
    assert not fresh("ps", "--all", "--quiet").stdout


# Lesson 20 where there is an engine (tests/test_notebooks.py runs it where there is none)


def test_lesson_runs_with_an_engine(fresh, tmp_path):
    (lesson,) = (p for p in NOTEBOOKS if p.stem == "20_containers")
    tool = Path(sys.executable).with_name("nbdev-test")
    shutil.copy(lesson, tmp_path), shutil.copy(ROOT / "settings.ini", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    settings = {"MPLBACKEND": "Agg", "IPYTHONDIR": tmp_path, "MLCOURSE_ENGINE": "podman"}
    told = [f"{name}={value}" for name, value in settings.items()]
    done = fresh.inside("env", "-C", tmp_path, *told, tool, tmp_path / lesson.name, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not fresh("ps", "--all", "--quiet").stdout and not fresh("volume", "ls", "--quiet").stdout


@pytest.mark.skipif(bool(containers.missing()), reason=f"no container engine: {containers.missing()}")
def test_nothing_of_an_engine_stays(tmp_path):
    """Neither after its end nor, but for its folder, when it is killed: processes, mounts and networks go with it."""
    for gently in (True, False):
        folder = tmp_path / f"store{gently}"
        folder.mkdir()
        engine = Engine(folder).__enter__()
        engine("volume", "create", "kept")
        child = subprocess.Popen(["nsenter", "--target", engine.first, "--pid", "sleep", "600"])
        engine.__exit__() if gently else engine.holder.kill()
        assert child.wait(20) != 0
        assert str(folder) not in Path("/proc/mounts").read_text()
        assert folder.exists() is not gently
