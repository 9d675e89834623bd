"""Slides on a cluster: the run's tasks become orders, and what workers report becomes events."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from uhrtranslate.cluster.crew import Crew, Crowd, Done, Heard, Ordered
from uhrtranslate.cluster.orders import FinishOrder, Job, Maker, SlideOrder
from uhrtranslate.cluster.shared import Part, SharedSlide
from uhrtranslate.errors import ClusterError
from uhrtranslate.runs.bands import Divided
from uhrtranslate.runs.events import Advanced, AtWork, ImageResult, OnEvent, Started, Workers
from uhrtranslate.runs.items import Task
from uhrtranslate.runs.many_images import needed
from uhrtranslate.runs.orders import failure

# From so many slides on, none is shared at the end of a run, as the client joins the bands of all.
MOST_SHARED = 64
# Options that are the client's business.
_CLIENTS = {"cluster": None, "split": None, "without_tls": False}


class Slides:
    """The slides of a run, done by a crew; a context manager, which lets go of unfinished ones.

    Args:
        crew: who does it.
        tasks: the slides.
        maker: makes each slide's recipe on a worker.
        on_event: called with every event.
    """

    def __init__(self, crew: Crew, tasks: Sequence[Task], maker: Maker, on_event: OnEvent) -> None:
        self._crew, self._tasks, self._maker, self._tell = crew, tasks, maker, on_event
        self._shared: dict[int, SharedSlide] = {}
        self._progress: dict[int, int] = {}  # px of each order that have been reported
        self._kind: str | None = None  # what the first slide was computed on, and how
        self._kinds: dict[int, set[str]] = {}  # the same of each slide

    def __enter__(self) -> "Slides":
        return self

    def __exit__(self, *_: object) -> None:
        for shared in self._shared.values():
            shared.close()

    def work(self) -> Iterator[tuple[int, ImageResult]]:
        """Number and result of each task as it is done.

        Raises:
            ClusterError: the scheduler has gone, or no worker can do anything.
        """
        orders: list[Ordered] = []
        for number, task in enumerate(self._tasks):
            try:
                source, target = needed(task)
            except Exception as error:
                yield from self._end(number, failure(task.item.name, task.target, error))
                continue
            options = task.options.model_copy(update=_CLIENTS)
            job = Job(source, target, options, self._maker)
            orders.append(Ordered(SlideOrder(job, task.options.split), Part(number)))
        self._crew.add(orders)
        workers, only = 0, len(orders) == 1
        for news in self._crew.work():
            if isinstance(news, Crowd):
                workers = news.workers
                self._tell(Workers(workers))
                self._offer(workers, only)
            elif isinstance(news, Heard):
                self._hear(news)
            else:
                yield from self._take(news)
                self._offer(workers, only)

    def _offer(self, workers: int, only: bool) -> None:
        """Have slides that nobody has begun shared, if they are too few for all workers.

        Args:
            workers: that have come.
            only: there is one slide; of jobs, the first comes alone, so it is shared by one, too.
        """
        slides = [one for one in self._crew.waiting() if isinstance(one.order, SlideOrder)]
        few = only or len(slides) < min(workers, MOST_SHARED)
        sharers = -(-workers // len(slides)) if slides and few else 0
        for ordered in slides:
            assert isinstance(ordered.order, SlideOrder)
            if ordered.order.sharers != sharers:  # of thousands, hardly any changes
                ordered.order = replace(ordered.order, sharers=sharers)

    def _hear(self, news: Heard) -> None:
        """Tell of a start and of progress; results come with receipts."""
        part, order = news.ordered.about, news.ordered.order
        if news.what == "begun":
            self._forget_progress(news.ordered)
            if not isinstance(order, SlideOrder):
                name = self._tasks[part.slide].item.name
                self._tell(AtWork(news.host, name, part.words, part.pixels))
        elif news.kind == "Started":
            self._tell(replace(Started(**news.fields), worker=news.host))
        elif news.kind == "Advanced":
            event = Advanced(**news.fields, worker=news.host)
            done = self._progress.get(id(news.ordered), 0)
            self._progress[id(news.ordered)] = done + event.pixels
            self._tell(event)

    def _forget_progress(self, ordered: Ordered) -> None:
        """Take back what a worker that has died had reported of a band."""
        done = self._progress.pop(id(ordered), 0)
        if done and not isinstance(ordered.order, SlideOrder):
            name = self._tasks[ordered.about.slide].item.name
            self._tell(Advanced(name, -done))

    def _take(self, news: Done) -> Iterator[tuple[int, ImageResult]]:
        """Take a receipt: there is more to do for its slide, or its result is known."""
        ordered, receipt = news.ordered, news.receipt
        number = ordered.about.slide
        if news.host:
            self._tell(AtWork(news.host))
        self._progress.pop(id(ordered), None)
        if receipt is not None and receipt.device and not isinstance(ordered.order, FinishOrder):
            self._kinds.setdefault(number, set()).add(receipt.device)
        if receipt is None or receipt.error is not None:
            yield from self._fail(number, self._why(news), news.host)
            return
        answer, shared = receipt.answer, self._shared.get(number)
        try:
            if isinstance(answer, Divided):
                assert isinstance(ordered.order, SlideOrder)
                self._share(number, ordered.order, answer)
                return
            if shared is None:
                assert isinstance(answer, ImageResult)
                yield from self._end(number, replace(answer, host=receipt.host))
                return
            if isinstance(answer, ImageResult):
                del self._shared[number]
                yield from self._end(number, shared.result(answer))
                return
            self._crew.add(shared.done(ordered.order, answer, receipt.host), first=True)
        except Exception as error:
            yield from self._fail(number, error, news.host)

    def _share(self, number: int, order: SlideOrder, divided: Divided) -> None:
        """Have the bands of a slide done."""
        shared = SharedSlide(number, order.job, divided, order.again)
        self._shared[number] = shared
        result, spec = divided.result, divided.spec
        start = shared.start
        note = divided.note + (f", resumed at {start / spec.height:.0%}" if start else "")
        pixels = spec.width * spec.height
        target = str(order.job.target)
        self._tell(Started(result.input, target, pixels, note, result.warnings))
        self._tell(Advanced(result.input, start * spec.width))
        self._crew.add(shared.orders(), first=True)

    def _why(self, news: Done) -> Exception:
        """Why an order was not carried out."""
        if news.receipt is not None and news.receipt.error is not None:
            return news.receipt.error
        part = news.ordered.about
        words = f" ({part.words})" if part.words else ""
        return ClusterError(
            f"{self._tasks[part.slide].item.name}: given up, as {news.ordered.deaths} workers died "
            f"while they worked on it{words}; try it alone, on a machine with more memory."
        )

    def _fail(
        self, number: int, error: Exception, host: str | None
    ) -> Iterator[tuple[int, ImageResult]]:
        self._crew.drop(lambda ordered: ordered.about.slide == number)
        shared = self._shared.pop(number, None)
        if shared is not None:
            shared.close(error)
        task = self._tasks[number]
        failed = failure(task.item.name, task.target, error)
        yield from self._end(number, replace(failed, host=host))

    def _end(self, number: int, result: ImageResult) -> Iterator[tuple[int, ImageResult]]:
        kinds = self._kinds.pop(number, set())
        if result.device and result.status == "done" and kinds:
            kind = ", ".join([*sorted(kinds), *([result.precision] if result.precision else [])])
            self._kind = self._kind or kind
            if len(kinds) > 1 or kind != self._kind:
                result.warnings["devices"] = (
                    f"{result.input}: was computed on {kind}, and others of this run on "
                    f"{self._kind}; such results may differ by a grey level."
                )
        self._tell(result)
        yield number, result
