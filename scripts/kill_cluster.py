"""Kill workers, schedulers and clients of a cluster at random moments; the results stay the same.

    scripts/kill_cluster.py --kills 20

It translates a few slides, one of them in bands, on one machine and then on a cluster of two
workers again and again, while it kills (SIGKILL) a worker, the scheduler or the client. What has
died is started again, the client with --resume. In the end the bytes are compared with those of
the undisturbed run. Exit code 1 if any differs, or if a run says something else than it should.
"""

import argparse
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parents[1]
# So slow a generator that there is time to kill somebody.
MODEL = """
import time
import torch
from torch import nn


class Slow(nn.Sequential):
    def forward(self, x):
        time.sleep({seconds})
        return super().forward(x)


def make():
    torch.manual_seed(0)
    layers = [nn.ReflectionPad2d(2), nn.Conv2d(3, 4, 5), nn.InstanceNorm2d(4), nn.ReLU()]
    return Slow(*layers, nn.Conv2d(4, 3, 1), nn.Tanh())
"""
COMMAND = "translate slides --format tiff --model slow:make --cell 64 --tile 128 --halo 8 --norm"
SCHEDULER = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
SCHEDULER += ["--dashboard-address", "127.0.0.1:0", "--scheduler-file"]
WORKER = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
WORKER += ["--memory-limit", "0", "--death-timeout", "60", "--local-directory"]
# Seconds after which nothing more is expected.
PATIENCE = 300


class Cluster:
    """A scheduler and its workers, as processes of their own."""

    def __init__(self, folder, workers):
        self.folder, self.count = folder, workers
        self.file = folder / "scheduler.json"
        self.scheduler = None
        self.workers = []
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(folder)]),
            "OMP_NUM_THREADS": "1",
            "DASK_LOGGING__DISTRIBUTED": "critical",
        }

    def start(self):
        """Start what does not run."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.file.unlink(missing_ok=True)
            for worker in self.workers:
                worker.kill()
                worker.wait()
            self.workers = []
            self.scheduler = self.run("scheduler", *SCHEDULER, self.file)
            end = time.monotonic() + PATIENCE
            while not self.file.exists():
                if time.monotonic() > end or self.scheduler.poll() is not None:
                    raise SystemExit("the scheduler did not start")
                time.sleep(0.1)
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < self.count:
            self.workers.append(
                self.run("worker", *WORKER, self.folder / "scratch", "--scheduler-file", self.file)
            )

    def run(self, *arguments):
        """A process of Dask."""
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
        with (self.folder / "dask.log").open("a") as log:
            return subprocess.Popen(
                [*map(str, command)], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def stop(self):
        """Kill everything."""
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.kill()
                process.wait()


def uhrt(cluster, *arguments):
    command = [sys.executable, "-P", "-m", "uhrtranslate", *arguments]
    return subprocess.Popen(
        command, cwd=cluster.folder, env=cluster.environment, text=True,
        stdout=subprocess.DEVNULL, stderr=(cluster.folder / "client.log").open("w"),
    )  # fmt: skip


def make_slides(folder, count, rng):
    (folder / "slides").mkdir()
    for number in range(count):
        side = 512 if number == 0 else 256
        pixels = rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / "slides" / f"{number}.png")


def same(folder, one, other):
    """Names of results that differ."""
    names = sorted(path.name for path in (folder / one).glob("*.tif"))
    _, differ, missing = filecmp.cmpfiles(folder / one, folder / other, names, shallow=False)
    return differ + missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--slides", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=0.05, help="seconds of a forward")
    parser.add_argument("--within", type=float, default=8.0, help="seconds until a kill at most")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "slow.py").write_text(MODEL.format(seconds=given.slow))
        make_slides(folder, given.slides, np.random.default_rng(given.seed))
        cluster = Cluster(folder, 2)
        try:
            sys.exit(kill(cluster, given, chance))
        finally:
            cluster.stop()


def kill(cluster, given, chance):
    folder = cluster.folder
    norms = ["dn", "pooled"]
    chance.shuffle(norms)
    for norm in norms:
        run = uhrt(cluster, *COMMAND.split(), norm, "-o", f"alone-{norm}")
        if run.wait(timeout=PATIENCE):
            raise SystemExit((folder / "client.log").read_text())
    killed, rounds, wrong = [], 0, []
    whom = ["worker", "scheduler", "client"]
    while len(killed) < given.kills:
        norm = norms[rounds % 2]
        out = f"together-{norm}"
        shutil.rmtree(folder / out, ignore_errors=True)
        rounds += 1
        while True:
            cluster.start()
            client = uhrt(
                cluster, *COMMAND.split(), norm, "-o", out, "--resume", "--split", "2",
                "--cluster", f"scheduler-file:{cluster.file}",
            )  # fmt: skip
            try:
                done = attend(cluster, client, given, chance, whom, killed)
            finally:
                client.kill()
                client.wait()
            if done:
                break
        wrong += same(folder, f"alone-{norm}", out)
        record = json.loads((folder / out / "uhrt-run.json").read_text())
        wrong += [one["input"] for one in record["inputs"] if one["status"] == "failed"]
    print(f"{len(killed)} kills in {rounds} runs ({', '.join(killed)}): ", end="")
    print(f"wrong: {wrong}" if wrong else "all results are those of one machine")
    return 1 if wrong else 0


def attend(cluster, client, given, chance, whom, killed):
    """Kill somebody from time to time; returns whether the client has done all."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            code = client.wait(timeout=chance.uniform(0.2, given.within))
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise SystemExit(
                    "the client does not end: " + (cluster.folder / "client.log").read_text()
                ) from None
            if len(killed) >= given.kills:
                continue
            one = whom[len(killed) % len(whom)]
            victim = {"scheduler": cluster.scheduler, "client": client}.get(one)
            victim = victim or chance.choice(cluster.workers)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            killed.append(one)
            if one == "client":
                return False
            if one == "worker":
                cluster.start()
            continue
        said = (cluster.folder / "client.log").read_text()
        if code == 0:
            return True
        if "--resume goes on from here" in said and cluster.scheduler.poll() is not None:
            return False
        raise SystemExit(f"the client ended with {code}: {said}")


if __name__ == "__main__":
    main()
