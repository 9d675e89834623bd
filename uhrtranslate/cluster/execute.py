"""A run's work given to a cluster, behind the same interface as that of this process."""

from collections.abc import Iterator, Sequence

from uhrtranslate.cluster.connect import connected
from uhrtranslate.cluster.orders import Maker
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
