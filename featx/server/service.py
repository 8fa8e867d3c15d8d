"""What all routes share: the catalogue of now, the queue of photos, and the way from a photo to its features."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray

from featx.backbones.weights import named_place
from featx.embedding.reopen import decodes_exactly, reopen_backbone
from featx.errors import FeatxError
from featx.images import UnreadablePhoto, open_photo
from featx.labels.decision_log import DecisionLog
from featx.server.generations import Catalogue, Generation
from featx.server.jobs import Jobs
from featx.server.measures import Measures
from featx.server.pace import Pace
from featx.server.photo_queue import PhotoQueue
from featx.server.problems import Problem
from featx.server.processes import Processes
from featx.server.settings import ServerSettings
from featx.server.tokens import Access, Caller
from featx.server.updates import UpdateRun
from featx.server.uploads import Upload
from featx.workspace import Workspace

Result = TypeVar("Result")
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Computed:
    """A photo of a request with its features, or the problem with it; `row` where the store knows it."""

    upload: Upload
    features: Features | None = None
    row: int | None = None
    problem: Problem | None = None


class Service:
    """The running server without its routes."""

    def __init__(
        self,
        settings: ServerSettings,
        access: Access,
        announce: Callable[[str], object] = lambda _: None,
        on_warm: Callable[[], object] = lambda: None,
    ) -> None:
        """`announce` is given the next address that logs a browser in, whenever one was used.

        `on_warm` is called once everything is open that answers need.
        """
        self.settings, self.access, self.announce, self.measures = settings, access, announce, Measures()
        self.workspace = Workspace.here()
        self._lock = threading.Lock()
        self._queues: dict[str, PhotoQueue] = {}
        self.catalogue = Catalogue(settings, self.queue_of)
        # Explanations are made one at a time; those that wait hold no thread that another answer needs.
        self.explaining = asyncio.Semaphore(1)
        self.refusals = Pace()
        self.decisions, self.jobs, self.processes = DecisionLog(settings.store), Jobs(), Processes()
        self.update = UpdateRun(settings.store, self.accuracy, self.catalogue.look)
        self._on_warm = on_warm
        self._report()

    @property
    def now(self) -> Generation:
        """The generation that answers now; a request asks once, and keeps it."""
        return self.catalogue.current

    def accuracy(self) -> float | None:
        """The accuracy on the card of the classifier of now."""
        predictor = self.now.predictor
        return None if predictor is None else round(predictor.model.card.best.accuracy, 4)

    def start(self) -> None:
        """Watch the files, and open the network while nobody waits for it."""
        self.catalogue.start()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def stop(self) -> None:
        """Finish what is under way."""
        self.catalogue.stop()
        self.jobs.stop()
        self.processes.stop()
        self.update.stop()
        for queue in self._queues.values():
            queue.stop()

    def queue_of(self, generation: Generation) -> PhotoQueue:
        """The queue for the network that made a store; a new state of the same store keeps it."""
        key = generation.network
        with self._lock:
            if key not in self._queues:
                store, places = generation.store, named_place(self.settings.weights) if self.settings.weights else []
                exact = decodes_exactly(store.provenance)
                opener = partial(reopen_backbone, store, near=places)
                self._queues[key] = PhotoQueue(opener, self.settings.limits, exact=exact)
            return self._queues[key]

    async def require_room(self, caller: Caller) -> None:
        """Refuse a photo of a caller before it is read where too many wait."""
        try:
            self.queue_of(self.now).require_room(caller.name)
        except Problem:
            await self.refusals.wait()
            raise

    async def computed(self, generation: Generation, uploads: Sequence[Upload], caller: Caller) -> list[Computed]:
        """The features of every photo of a request; a single one that fails takes no other with it.

        Where the queue took none of them the request is refused, so that the caller waits and sends it again.
        """
        computed = list(await asyncio.gather(*(self._computed(generation, upload, caller) for upload in uploads)))
        refusals = [photo.problem for photo in computed if photo.problem and photo.problem.status in (429, 503)]
        if refusals and len(refusals) == len(computed):
            await self.refusals.wait()
            raise refusals[0]
        return computed

    async def _computed(self, generation: Generation, upload: Upload, caller: Caller) -> Computed:
        try:
            return await self._features(generation, upload, caller)
        except UnreadablePhoto as error:
            return Computed(upload, problem=unreadable(error))
        except Problem as problem:
            return Computed(upload, problem=problem)

    async def _features(self, generation: Generation, upload: Upload, caller: Caller) -> Computed:
        if upload.photo is None:
            assert upload.refusal is not None
            raise upload.refusal
        if rows := generation.index.rows.digests.rows_of(upload.photo.digest)[:1]:
            return Computed(upload, generation.features_of(rows[0]), rows[0])
        future = self.queue_of(generation).submit(upload.photo, caller.name)
        return Computed(upload, await self.waited(future))

    async def waited(self, future: Future[Features]) -> Features:
        """The outcome of a photo in the queue, within the time that an answer may take."""
        try:
            # Others may wait for the same photo, so that giving up does not cancel it.
            waiting = asyncio.shield(asyncio.wrap_future(future))
            return await asyncio.wait_for(waiting, self.settings.limits.answer_seconds)
        except TimeoutError as error:
            raise Problem(503, "too-slow", "the photo waited too long", "try again", retry_after=2) from error

    async def probe(self) -> None:
        """Send a small photo through the network; whatever is wrong with it is raised."""
        generation = self.now
        noise = np.random.default_rng().integers(0, 256, (32, 32, 3), dtype=np.uint8)
        photo = open_photo(noise, "probe")
        features = await self.waited(self.queue_of(generation).submit(photo, "healthz"))
        await in_thread(generation.index.matches, generation.for_index(features), 1)

    def _warm_up(self) -> None:
        self.now.index.expect_many()
        try:
            self.queue_of(self.now).warm_up()
        except FeatxError as error:
            # Known items are answered without the network; whoever sends a photo gets this error.
            self.catalogue.trouble = error
        self._on_warm()

    def _report(self) -> None:
        gauge = self.measures.gauge
        gauge("photos_waiting", "Photos that wait or are computed.", lambda: self._sum(lambda queue: queue.waiting))
        gauge("photos_computed", "Photos computed.", lambda: self._sum(lambda queue: queue.computed))
        gauge("batches_computed", "Batches computed.", lambda: self._sum(lambda queue: queue.batches))
        gauge("store_photos", "Photos in the store.", lambda: len(self.now.index))
        gauge("store_changes", "How often the files were replaced and opened again.", lambda: self.catalogue.changes)
        gauge("degraded", "1 while the files of now cannot be opened.", lambda: self.catalogue.trouble is not None)

    def _sum(self, count: Callable[[PhotoQueue], int]) -> int:
        return sum(count(queue) for queue in list(self._queues.values()))


async def in_thread(function: Callable[..., Result], *words: object, **settings: object) -> Result:
    """Run what computes beside the loop that answers others."""
    return await run_in_threadpool(function, *words, **settings)


def unreadable(error: UnreadablePhoto) -> Problem:
    """The problem of a photo that cannot be read, in the words of every command."""
    return Problem(422, "photo-unreadable", f"cannot read {error}", "send another photo")
