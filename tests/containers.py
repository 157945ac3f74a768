"""A podman of its own, in namespaces of its own: when a test ends, or is killed, no process, mount or network stays."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT
from test_notebooks import LOOPBACK

import mlcourse

WANTED = ("podman", "buildah", "runc", "mmdebstrap", "unshare", "nsenter")
IMAGE = f"localhost/mlcourse:{mlcourse.__version__}"
BASE = "docker.io/library/python:3.11-slim"
# The first process of the namespaces waits for the end of its input, which comes at the latest with the test's own end;
# with it goes all that was started, and mounted, inside. What podman writes outside of its store lands in memory.
HOLD = """
cp -L /etc/resolv.conf {0}/resolv.conf && mount --bind {0}/resolv.conf /etc/resolv.conf
for at in /run /var/lib /dev/shm; do mount -t tmpfs tmpfs $at || exit 1; done
echo held
command -v catatonit >/dev/null && exec catatonit -- cat || exec cat
"""
CONF = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
network_config_dir = "{0}/networks"
"""
CLIENT = """
import json, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], sys.stdin.buffer.read() or None, {"Content-Type": "application/json"})
try:
    answer = urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(str(error))
print(json.dumps([answer.status, answer.read().decode()]))
"""


class Engine:
    """Runs podman on a store in `folder`; `with Engine(folder) as podman: podman("ps")`."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "containers.conf").write_text(CONF.format(folder))
        store = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/running"\n'
        (folder / "storage.conf").write_text(store)
        self.env = os.environ | {"CONTAINERS_CONF": f"{folder}/containers.conf", "TMPDIR": str(folder)}
        self.env |= {"CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf"}

    def __enter__(self):
        spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*spaces, sys.executable, "-c", LOOPBACK, "sh", "-c", HOLD.format(self.folder)]
        self.holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if self.holder.stdout.readline() != "held\n":
            self.holder.kill()
            raise OSError(f"no namespaces: {self.holder.communicate()[1]}")
        self.first = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().strip()
        return self

    def __exit__(self, *_):
        try:
            self("rm", "--force", "--all", "--time", "0", check=False)
            self("pod", "rm", "--force", "--all", check=False)
        finally:
            self.holder.stdin.close()
            self.holder.wait()
            shutil.rmtree(self.folder)

    def inside(self, *command, network=True, check=True, **more):
        """Run a command in the namespaces (without `network`: in the machine's own network)."""
        spaces = ["nsenter", "--target", self.first, "--mount", "--pid", *["--net"] * network]
        done = subprocess.run(
            [*spaces, *map(str, command)], env=self.env, capture_output=True, text=True, **more
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def __call__(self, *command, **more):
        """What `podman COMMAND` did: returncode, stdout, stderr."""
        return self.inside("podman", *command, **more)

    def ask(self, path, body="", port=8000):
        """Status and text of an answer on the loopback inside; status 0 and the reason if there is none."""
        url = f"http://127.0.0.1:{port}{path}"
        done = self.inside(sys.executable, "-IS", "-c", CLIENT, url, check=False, input=body)
        return tuple(json.loads(done.stdout)) if done.returncode == 0 else (0, done.stderr.strip())

    def until(self, condition, seconds=60):
        """Wait until the condition holds, at most so long; whether it came to hold."""
        end = time.monotonic() + seconds
        while not (held := condition()) and time.monotonic() < end:
            time.sleep(0.5)
        return held

    def build(self):
        """The stand-in of the base image, and the course's own image on it."""
        tar = self.folder / "base.tar"
        subprocess.run(["bash", ROOT / "tests" / "base_image.sh", tar], check=True, capture_output=True)
        certificates = "/etc/ssl/certs/ca-certificates.crt"
        changes = [f"--change=ENV {name}={certificates}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
        path = "--change=ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self("import", "--quiet", path, *changes, tar, BASE)
        tar.unlink()
        recipe = ["--file", ROOT / "deploy" / "Dockerfile", "--tag", IMAGE, "--format", "docker"]
        self("build", "--pull=never", "--network=host", "--layers=false", *recipe, ROOT, network=False)


def missing():
    """Why no engine can start here; empty if one can."""
    if absent := [name for name in WANTED if not shutil.which(name)]:
        return f"{', '.join(absent)} not installed"
    if os.geteuid() != 0:
        return "needs root, to make namespaces and mounts"
    return ""
