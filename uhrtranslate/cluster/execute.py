"""A run's work given to a cluster, behind the same interface as that of this process."""

from collections.abc import Iterator, Sequence
from typing import Any

from uhrtranslate.cluster.connect import connected
from uhrtranslate.cluster.orders import Maker, Order
from uhrtranslate.errors import ClusterError
from uhrtranslate.options import ImageOptions
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.items import Task
from uhrtranslate.runs.many_images import Execute


def on_cluster(options: ImageOptions, maker: Maker) -> Execute:
    """Have slides done by the workers of the cluster that the options name.

    Args:
        options: of the run; an item's own may differ in everything else.
        maker: makes each slide's recipe on a worker.

    The function that is returned raises ClusterError, OptionError or MissingExtraError if the
    cluster cannot be reached, or goes away.
    """
    assert options.cluster is not None
    cluster, without_tls = options.cluster, options.without_tls
    device = getattr(options, "device", "cpu")

    def execute(tasks: Sequence[Task], on_event: OnEvent) -> Iterator[tuple[int, ImageResult]]:
        with connected(cluster, without_tls, device) as reached:
            from uhrtranslate.cluster.crew import Crew
            from uhrtranslate.cluster.slides import Slides

            with Crew(reached) as crew, Slides(crew, tasks, maker, on_event) as slides:
                yield from slides.work()

    return execute


def carried_out(
    cluster: str, without_tls: bool, orders: Sequence[Order], device: str = "cpu"
) -> Iterator[tuple[int, Any]]:
    """Have orders carried out; number and answer of each as it is done, or the error it raised.

    Args:
        cluster, without_tls: see `connected`.
        orders: each for one worker.
        device: that workers use.

    Raises:
        ClusterError, OptionError, MissingExtraError: the cluster cannot be reached, or has gone.
    """
    with connected(cluster, without_tls, device) as reached:
        from uhrtranslate.cluster.crew import Crew, Done, Ordered

        with Crew(reached) as crew:
            crew.add(Ordered(order, number) for number, order in enumerate(orders))
            for news in crew.work():
                if not isinstance(news, Done):
                    continue
                if news.receipt is None:
                    dead = (
                        f"given up, as {news.ordered.deaths} workers died while they worked on it"
                    )
                    yield news.ordered.about, ClusterError(dead)
                else:
                    yield news.ordered.about, news.receipt.error or news.receipt.answer
