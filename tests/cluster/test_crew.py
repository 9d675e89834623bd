"""Who does which piece, and what becomes of pieces whose workers die."""

import os
import sys
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytest.importorskip("distributed")

from mortal_orders import Endless, Leaves, Once, Plain, Poison, Wrong, heard

from uhrtranslate.cluster import crew as crews
from uhrtranslate.cluster import local, plain
from uhrtranslate.cluster.connect import connected
from uhrtranslate.cluster.crew import Crew, Crowd, Done, Heard, Ordered
from uhrtranslate.cluster.reached import parting
from uhrtranslate.errors import ClusterError, InputError, OptionError

pytestmark = pytest.mark.filterwarnings("default")  # those of Dask
PATIENCE = 120
KNOWN = "from uhrtranslate.cluster import plain\nplain.ROOTS.add('mortal_orders')\n"


@pytest.fixture(scope="module")
def cluster():
    """Two workers; those that tests have killed are started again."""
    with pytest.MonkeyPatch.context() as patch:
        # Orders of tests are none of our own types.
        patch.setattr(plain, "ROOTS", {*plain.ROOTS, "mortal_orders"})
        patch.setattr(local, "PRELOAD", local.PRELOAD + KNOWN)
        # Nannies give up workers that die as soon as they have started.
        patch.setattr(local, "GIVEN_UP", 1.0)
        with connected("local:2", False, "cpu") as reached:
            yield reached


def carried_out(cluster, *orders):
    """What has become of orders: receipts by names, None for those that were given up."""
    with Crew(cluster) as crew:
        crew.add(Ordered(order, order.name) for order in orders)
        return {news.ordered.about: news.receipt for news in crew.work() if isinstance(news, Done)}


def test_orders_are_carried_out_once_each_by_several_workers(cluster, tmp_path):
    orders = [Plain(str(number), tmp_path, 0.3) for number in range(6)]
    receipts = carried_out(cluster, *orders)
    assert {name: receipt.answer for name, receipt in receipts.items()} == {
        order.name: (order.name, False) for order in orders
    }
    assert len({receipt.host for receipt in receipts.values()}) == 2
    assert all((tmp_path / order.name).read_text().count("\n") == 1 for order in orders)


def test_what_a_dead_worker_had_is_done_by_another(cluster, tmp_path):
    receipts = carried_out(cluster, Once("once", tmp_path), Plain("plain", tmp_path))
    assert receipts["once"].answer == ("once", True)
    pids = (tmp_path / "once").read_text().split()
    assert len(set(pids)) == 2


def test_workers_whose_nannies_have_given_up_are_started_again(cluster, tmp_path):
    whole = cluster.client.cluster
    for nanny in whole.workers.values():
        whole.sync(nanny.close)
    receipts = carried_out(cluster, Plain("a", tmp_path, 0.3), Plain("b", tmp_path, 0.3))
    assert sorted(receipt.answer[0] for receipt in receipts.values()) == ["a", "b"]


def test_a_worker_that_leaves_in_time_is_no_death(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "LOST", 1.0)
    done = {}
    with Crew(cluster) as crew:
        leaves = Ordered(Leaves("leaves", tmp_path), "leaves")
        crew.add([leaves, Ordered(Plain("plain", tmp_path, 0.3), "plain")])
        for news in crew.work():
            if isinstance(news, Done):
                done[news.ordered.about] = news.receipt.answer
    assert done == {"leaves": ("leaves", True), "plain": ("plain", False)}
    assert leaves.deaths == 0


def test_several_poisons_take_nobody_with_them(cluster, tmp_path):
    orders = [Plain(str(number), tmp_path, 0.2) for number in range(6)]
    orders[2:2] = [Poison("one", tmp_path), Poison("two", tmp_path)]
    receipts = carried_out(cluster, *orders)
    assert {name for name, receipt in receipts.items() if receipt is None} == {"one", "two"}
    for name in receipts:
        tries = crews.TRIES if receipts[name] is None else 1
        assert (tmp_path / name).read_text().count("\n") == tries, name


def test_errors_come_back_as_they_are(cluster, tmp_path):
    receipts = carried_out(cluster, Wrong("slide", tmp_path), Plain("plain", tmp_path))
    error = receipts["slide"].error
    assert isinstance(error, InputError)
    assert str(error) == "slide: is damaged."
    assert receipts["plain"].error is None


def test_workers_stop_when_the_client_wants_no_answer(cluster, tmp_path):
    crew = Crew(cluster)
    with crew:
        crew.add([Ordered(Endless("a", tmp_path), "a"), Ordered(Endless("b", tmp_path), "b")])
        told = {}
        for news in crew.work():
            if isinstance(news, Crowd):
                assert news.workers
            if isinstance(news, Heard) and news.kind == "Advanced":
                told[news.fields["input"]] = news.host
            if len(told) == 2:
                break
        assert not (tmp_path / "a.ended").exists()
    assert not parting
    assert (tmp_path / "a.ended").exists()
    assert (tmp_path / "b.ended").exists()
    assert len(set(told.values())) == 2


def test_workers_of_another_version_are_not_used(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "__version__", "0.0.1")
    with pytest.raises(ClusterError, match=r"no worker .* has uhrt .* the run is of 0\.0\.1"):
        carried_out(cluster, Plain("plain", tmp_path))
    assert not (tmp_path / "plain").exists()


def test_each_worker_sees_its_own_gpu_before_torch_is_there_and_nobody_else_hears_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert local._pins(2, "cpu") == [{}, {}]
    assert local._pins(3, "auto") == [{"CUDA_VISIBLE_DEVICES": str(gpu)} for gpu in range(3)]
    with pytest.raises(OptionError, match=r"local:4: this machine has 3 GPUs.*use local:3"):
        local._pins(4, "cuda")
    # A job of Slurm may have been given these two.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b,5")
    with connected("local:2", False, "auto") as reached:
        reached.client.wait_for_workers(2, timeout=PATIENCE)
        seen = reached.client.run(
            lambda: (os.environ["CUDA_VISIBLE_DEVICES"], "torch" in sys.modules)
        )
        cores = reached.client.run(lambda: os.environ["OMP_NUM_THREADS"])
        # Scheduler and nannies live in this process.
        open_to = [*reached.client.run(heard).values(), heard()]
        pages = f"http://127.0.0.1:{reached.client.cluster.scheduler.http_server.port}/status"
        with pytest.raises(HTTPError, match="404"):
            urlopen(pages, timeout=PATIENCE)
    assert all(ports and ports == dict.fromkeys(ports, "127.0.0.1") for ports in open_to)
    assert sorted(seen.values()) == [("5", False), ("GPU-b", False)]
    assert sum(map(int, cores.values())) <= max(2, local._cores())


def test_without_a_scheduler_the_run_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "LOST", 1.0)
    gone = pytest.raises(ClusterError, match="the cluster's scheduler has gone")
    with connected("local:1", False, "cpu") as reached, gone:
        lose_the_scheduler(reached, tmp_path)


def lose_the_scheduler(reached, folder):
    with Crew(reached) as crew:
        crew.add([Ordered(Endless("a", folder), "a")])
        end = time.monotonic() + PATIENCE
        for news in crew.work():
            assert time.monotonic() < end
            if isinstance(news, Heard) and news.kind == "Advanced":
                reached.client.cluster.sync(reached.client.cluster.scheduler.close)
