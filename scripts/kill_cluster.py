"""Kill workers, schedulers and clients of a cluster at random moments; the results stay the same.

    scripts/kill_cluster.py --kills 20
    scripts/kill_cluster.py --kills 0 --leave 3

It translates a few slides, one of them in bands, on one machine and then on a cluster of two
workers again and again, while it kills (SIGKILL) a worker, the scheduler or the client. What has
died is started again, the client with --resume. In the end the bytes are compared with those of
the undisturbed run. Exit code 1 if any differs, or if a run says something else than it should.

Each kill meets a run in progress: the generator stops at a forward that is drawn by chance, and
goes on when somebody has been killed. Whoever is killed as the run ends is not counted.

With --leave, workers also leave at the end of their --lifetime, in the middle of what they are at.

Processes are forked from this one, which has imported all that they need, as starting them would
take longer than what they do.
"""

import argparse
import filecmp
import importlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parents[1]
# A generator that counts its forwards, and waits at those that it is not allowed yet.
MODEL = """
import os
import time
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Slow(nn.Sequential):
    covariant, halo = True, 8  # else uhrt would try

    def forward(self, x):
        time.sleep({seconds})
        if x.any() and (HERE / "allowed").exists():  # not of a trial
            (HERE / ("pid-" + str(os.getpid()))).touch()
            with open(HERE / "forwards", "ab", buffering=0) as file:
                file.write(b".")
                number = file.tell()
            while number > int((HERE / "allowed").read_text()):
                time.sleep(0.01)
        return super().forward(x)


def make():
    torch.manual_seed(0)
    layers = [nn.ReflectionPad2d(2), nn.Conv2d(3, 4, 5), nn.InstanceNorm2d(4), nn.ReLU()]
    return Slow(*layers, nn.Conv2d(4, 3, 1), nn.Tanh())
"""
COMMAND = "translate slides --format tiff --model slow:make --cell 64 --tile 128 --norm"
SCHEDULER = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
SCHEDULER += ["--dashboard-address", "127.0.0.1:0", "--scheduler-file"]
WORKER = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
WORKER += ["--memory-limit", "0", "--death-timeout", "60", "--local-directory"]
# What forked processes need; importing it starts no thread.
IMPORTED = ["torch", "uhrtranslate.cli", "uhrtranslate.tasks.translate"]
IMPORTED += ["uhrtranslate.cluster.connect", "uhrtranslate.cluster.slides"]
IMPORTED += ["distributed.cli.dask_scheduler", "distributed.cli.dask_worker"]
# Seconds after which nothing more is expected.
PATIENCE = 300
# Forwards between two kills at most, some 130 are a run; and seconds that a kill comes later.
FORWARDS, LATER = 40, 0.3
ALL = 1 << 60


class Cluster:
    """A scheduler and its workers, as processes of their own, and what their generator may do."""

    def __init__(self, folder, workers):
        self.folder, self.count = folder, workers
        self.file = folder / "scheduler.json"
        self.scheduler = None
        self.workers = []
        (folder / "forwards").touch()

    def start(self, scheduler=True):
        """Start what does not run; without a scheduler, workers do not either."""
        if self.scheduler is None or not self.scheduler.is_alive():
            if not scheduler:
                return
            self.file.unlink(missing_ok=True)
            self.stop()
            self.scheduler = self.dask("scheduler", *SCHEDULER, self.file)
            wait_for(self.file.exists, "the scheduler does not start")
        self.workers = [worker for worker in self.workers if worker.is_alive()]
        while len(self.workers) < self.count:
            self.workers.append(self.worker())

    def worker(self, *more):
        """A worker."""
        scratch = self.folder / "scratch"
        return self.dask("worker", *WORKER, scratch, "--scheduler-file", self.file, *more)

    def dask(self, what, *arguments):
        """A process of Dask."""
        return forked(self.folder, "dask.log", dask_main, what, [str(one) for one in arguments])

    def uhrt(self, *arguments):
        """A client, or a run without a cluster."""
        return forked(self.folder, "client.log", uhrt_main, [str(one) for one in arguments])

    @property
    def forwards(self):
        """How many have begun."""
        return (self.folder / "forwards").stat().st_size

    @property
    def waits(self):
        """Whether somebody waits for a forward to be allowed."""
        return self.forwards > int((self.folder / "allowed").read_text())

    def allow(self, number):
        """Have so many forwards done, and workers wait in the next."""
        new = self.folder / "allowed.new"
        new.write_text(str(number))
        new.replace(self.folder / "allowed")

    def stop(self):
        """Kill everything."""
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.kill()
                process.join()
        self.workers = []


def forked(folder, log, main, *arguments):
    """A process that runs a program in a folder."""

    def run():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(folder)
        output = os.open(folder / log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        main(*arguments)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def dask_main(what, arguments):
    from distributed.cli import dask_scheduler, dask_worker

    {"scheduler": dask_scheduler, "worker": dask_worker}[what].main(arguments)


def uhrt_main(arguments):
    from uhrtranslate.cli import main

    sys.argv = ["uhrt", *arguments]
    main()


def wait_for(what, else_say):
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise SystemExit(else_say)
        time.sleep(0.005)


def make_slides(folder, count, rng):
    (folder / "slides").mkdir()
    for number in range(count):
        side = 512 if number == 0 else 256
        pixels = rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / "slides" / f"{number}.png")


def victims(chance):
    """Whom to kill together, again and again, without end.

    While a client lives, two workers die at most, as after three what they were at is given up.
    """
    for last in itertools.cycle([["client"], ["scheduler"], ["scheduler", "client"]]):
        yield from [["worker"]] * chance.randint(1, 2)
        yield last


def translate(cluster, norm, out):
    """A client at its work."""
    cluster.start()
    (cluster.folder / "client.log").unlink(missing_ok=True)
    return cluster.uhrt(
        *COMMAND.split(), norm, "-o", out, "--resume", "--split", 2,
        "--cluster", f"scheduler-file:{cluster.file}",
    )  # fmt: skip


def attend(cluster, client, chance, groups, killed, kills):
    """Kill somebody from time to time; returns whether the client has done all."""
    while len(killed) < kills and client.is_alive():
        cluster.allow(cluster.forwards + chance.randint(1, FORWARDS))
        if chance.random() < 0.75:  # else it may be while something starts
            wait_for(lambda: cluster.waits or not client.is_alive(), "nobody computes")
        group = next(groups)[: kills - len(killed)]
        for whom in group:
            time.sleep(chance.uniform(0, LATER))
            victim = {"scheduler": cluster.scheduler, "client": client}.get(whom)
            victim = victim or chance.choice(cluster.workers)
            victim.kill()
            victim.join()
            if victim.exitcode == -signal.SIGKILL and (victim is client or client.is_alive()):
                killed.append(whom)
        if "client" in group and client.exitcode == -signal.SIGKILL:
            return False
        cluster.start(scheduler=False)
        if "scheduler" in group:
            break
    cluster.allow(ALL)
    client.join(PATIENCE)
    lost = client.exitcode == 1 and not cluster.scheduler.is_alive()
    if lost and "--resume goes on from here" in said(cluster):
        return False
    if client.exitcode != 0:
        raise SystemExit(f"the client ended with {client.exitcode}: {said(cluster)}")
    return True


def said(cluster):
    """What the last client has said."""
    return (cluster.folder / "client.log").read_text()


def kill(cluster, norms, chance, kills):
    """Kill so many; returns names of results that are not as they should be."""
    groups, killed, wrong = victims(chance), [], []
    for number in itertools.count(1):
        norm = norms[number % 2]
        out = f"together-{norm}"
        shutil.rmtree(cluster.folder / out, ignore_errors=True)
        lives, until = 1, min(kills, len(killed) + -(-kills // 2))
        while True:
            client = translate(cluster, norm, out)
            try:
                if attend(cluster, client, chance, groups, killed, until):
                    break
            finally:
                client.kill()
                client.join()
            lives += 1
        wrong += differing(cluster.folder, norm, out)
        print(f"run {number}, {norm}: {lives} clients, {len(killed)} kills", flush=True)
        if len(killed) >= kills:
            break
    print(f"{len(killed)} kills in the middle of {number} runs: {', '.join(killed)}")
    return wrong


def leave(cluster, norm, workers):
    """Have so many workers leave at the end of their time; returns as `kill` does."""
    out, lifetime, left = f"together-{norm}", 2.0, 0
    shutil.rmtree(cluster.folder / out, ignore_errors=True)
    cluster.count = 1  # it stays
    cluster.allow(cluster.forwards)
    client = translate(cluster, norm, out)
    try:
        while left < workers:
            leaver = cluster.worker("--lifetime", f"{lifetime}s", "--lifetime-stagger", "500ms")
            begun = cluster.folder / f"pid-{leaver.pid}"
            end = time.monotonic() + PATIENCE
            while leaver.is_alive() and time.monotonic() < end:
                time.sleep(lifetime / 10)  # so the run takes longer than the worker has
                if begun.exists():
                    cluster.allow(cluster.forwards)
            if leaver.exitcode != 0 or not client.is_alive():
                leaver.kill()
                raise SystemExit(f"a worker ended with {leaver.exitcode}: {said(cluster)}")
            if begun.exists():
                left += 1
            else:
                lifetime *= 2
        cluster.allow(ALL)
        client.join(PATIENCE)
        if client.exitcode != 0:
            raise SystemExit(f"the client ended with {client.exitcode}: {said(cluster)}")
    finally:
        client.kill()
        client.join()
    print(f"{left} workers left at the end of their lifetime of {lifetime:g} s")
    return differing(cluster.folder, norm, out)


def differing(folder, norm, out):
    """Names of results that differ from those of one machine, and of inputs that have failed."""
    names = sorted(path.name for path in (folder / f"alone-{norm}").glob("*.tif"))
    _, *wrong = filecmp.cmpfiles(folder / f"alone-{norm}", folder / out, names, shallow=False)
    record = json.loads((folder / out / "uhrt-run.json").read_text())
    failed = [one["input"] for one in record["inputs"] if one["status"] == "failed"]
    return [*itertools.chain(*wrong), *failed]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--leave", type=int, default=0, help="workers that leave, too")
    parser.add_argument("--slides", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None, help="of what is drawn by chance")
    given = parser.parse_args()
    seed = random.randrange(1 << 30) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # those that were forked end, too
    chance = random.Random(seed)
    os.environ |= {"OMP_NUM_THREADS": "1", "DASK_LOGGING__DISTRIBUTED": "critical"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path[:0] = [str(HERE), name]
        for module in IMPORTED:
            importlib.import_module(module)
        (folder / "slow.py").write_text(MODEL.format(seconds=0))
        make_slides(folder, given.slides, np.random.default_rng(seed))
        cluster = Cluster(folder, 2)
        norms = ["dn", "pooled"]
        chance.shuffle(norms)
        try:
            for norm in norms:
                run = cluster.uhrt(*COMMAND.split(), norm, "-o", f"alone-{norm}")
                run.join(PATIENCE)
                if run.exitcode != 0:
                    raise SystemExit(said(cluster))
            wrong = kill(cluster, norms, chance, given.kills) if given.kills else []
            wrong += leave(cluster, norms[0], given.leave) if given.leave else []
        finally:
            cluster.stop()
    print(f"wrong: {wrong}" if wrong else "all results are those of one machine")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
