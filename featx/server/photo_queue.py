"""Photos in, features out, first come, first served: nobody waits for a batch to fill.

A device computes whatever waits in one batch. On a CPU where a batch is no quicker than its photos, each core takes one
photo at a time and does all of it.

The queue is bounded, a photo whose caller has given up is not computed, and one that breaks a batch fails alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.images import UndecodedPhoto, UnreadablePhoto
from featx.server.decoders import Decoders
from featx.server.problems import Problem
from featx.server.settings import Limits

if TYPE_CHECKING:
    from featx.backbones import Encoder

Features = NDArray[np.float32]
# The page asks for look-alikes and the category of the same photo; it is computed once.
REMEMBERED = 64
# A server computes more photos than it takes to make converting its network worthwhile.
WORTH_CONVERTING = 100_000


@dataclass
class _Job:
    photo: UndecodedPhoto
    until: float
    future: Future[Features] = field(default_factory=Future)
    prepared: Any = None

    @property
    def lapsed(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.cancelled() or time.monotonic() > self.until


class PhotoQueue:
    """Computes photos with one encoder, at most so many at a time."""

    def __init__(self, open_encoder: Callable[[], Encoder], limits: Limits, *, exact: bool = False) -> None:
        """`exact` decodes photos at full size, as those of the store were."""
        self._open, self._limits, self._exact = open_encoder, limits, exact
        self._encoder: Encoder | None = None
        self._opening, self._changed = threading.Lock(), threading.Condition()
        self._ready: deque[_Job] = deque()
        self._known: OrderedDict[str, Future[Features]] = OrderedDict()
        self._callers: Counter[str] = Counter()
        self._stopped = False
        self._decoders = Decoders(self._decode, self._give_up, limits.decode_seconds)
        self._workers: list[threading.Thread] = []
        self.batches = self.computed = 0

    @property
    def waiting(self) -> int:
        """How many photos wait or are computed."""
        return sum(self._callers.values())

    def submit(self, photo: UndecodedPhoto, caller: str = "") -> Future[Features]:
        """The features of a photo as they will be; a Problem at once where too many wait."""
        with self._changed:
            known = self._known.get(photo.digest)
            if known is not None and not known.cancelled():
                self._known.move_to_end(photo.digest)
                return known
            self.require_room(caller)
            self._callers[caller] += 1
            job = _Job(photo, time.monotonic() + self._limits.answer_seconds)
            self._remember(photo.digest, job.future)
        # It knows no more than the digest: a future that knew its own photo would keep it until garbage is looked for.
        job.future.add_done_callback(partial(self._left, caller, photo.digest))
        self._decoders.submit(job)
        return job.future

    def warm_up(self) -> None:
        """Open the network before the first photo comes, and then the quickest engine; photos are answered meanwhile.

        On a CPU that engine takes photos one at a time: a core is as quick with four at once as with four in turn, and
        a photo then waits for no other.
        """
        encoder = self._opened()
        if encoder.spec.device.startswith("cpu") and encoder.spec.engine:
            encoder.use_engine("auto", photos=WORTH_CONVERTING, batch_size=1)

    def stop(self) -> None:
        """Finish the photos that wait, and end the threads."""
        self._decoders.stop()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    # --- who may ----------------------------------------------------------------------------------------------------

    def require_room(self, caller: str) -> None:
        """Refuse a photo of a caller where too many wait."""
        if self._stopped:
            raise Problem(503, "stopping", "the server is stopping", "try again", retry_after=5)
        if self._decoders.exhausted:
            raise Problem(503, "overloaded", "photos that never end hold up the others", "try again", retry_after=10)
        if self._callers[caller] >= self._limits.waiting_photos_of_caller:
            raise Problem(429, "too-many", "too many of your photos wait", "send fewer at a time", retry_after=1)
        if self.waiting >= self._limits.waiting_photos:
            raise Problem(503, "overloaded", f"{self.waiting} photos wait already", "try again", retry_after=1)

    def _remember(self, digest: str, future: Future[Features]) -> None:
        self._known[digest] = future
        while len(self._known) > REMEMBERED + self._limits.waiting_photos:
            self._known.popitem(last=False)

    def _left(self, caller: str, digest: str, future: Future[Features]) -> None:
        with self._changed:
            self._callers[caller] -= 1
            if self._callers[caller] <= 0:
                del self._callers[caller]
            failed = future.cancelled() or future.exception() is not None
            if failed and self._known.get(digest) is future:
                del self._known[digest]

    # --- photo by photo ---------------------------------------------------------------------------------------------

    def _decode(self, job: _Job) -> None:
        if job.lapsed:
            _fail(job, _too_late())
            return
        try:
            encoder = self._opened()
            with self._decoders.limited(job):
                image = job.photo.decode(None if self._exact else encoder.spec.decode_size)
                job.prepared = encoder.prepare(image)
        except BaseException as error:  # noqa: BLE001 - whatever it is, its caller must hear of it
            _fail(job, error)
            return
        if encoder.spec.batch_hint == 1:
            self._compute([job])  # here, where its pixels are at hand
            return
        with self._changed:
            self._ready.append(job)
            self._changed.notify()

    def _give_up(self, job: _Job) -> None:
        _fail(
            job,
            UnreadablePhoto(job.photo.name, "unreadable", f"it takes over {self._limits.decode_seconds:g} s to decode"),
        )

    def _opened(self) -> Encoder:
        with self._opening:
            if self._encoder is None:
                self._encoder = self._open()
                for number in range(self._encoder.spec.parallel_calls):
                    worker = threading.Thread(target=self._work, name=f"compute-{number}", daemon=True)
                    worker.start()
                    self._workers.append(worker)  # now, as a server that stops at once waits for those that run
            return self._encoder

    # --- batch by batch ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._batch():
            pass  # and while it waits for the next one it keeps no photo of the last

    def _batch(self) -> bool:
        """Compute the next batch; whether there was one."""
        jobs = self._next()
        live = [job for job in jobs if not job.lapsed]
        for job in jobs:
            if job not in live:
                _fail(job, _too_late())
        self._compute(live)
        return bool(jobs)

    def _next(self) -> list[_Job]:
        """What waits, up to a batch; nothing once the server stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._stopped)
            return [self._ready.popleft() for _ in range(min(len(self._ready), self._limits.photos_at_once))]

    def _compute(self, jobs: Sequence[_Job]) -> None:
        """A batch; where it fails, its halves, until the photo that breaks it is alone."""
        if not jobs:
            return
        try:
            rows = self._opened().features([job.prepared for job in jobs])
        except BaseException as error:  # noqa: BLE001 - as above
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return
            for half in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
                self._compute(half)
            return
        with self._changed:
            self.batches, self.computed = self.batches + 1, self.computed + len(jobs)
        for job, row in zip(jobs, rows, strict=True):
            job.prepared = None
            _succeed(job, np.array(row, dtype=np.float32))


def _succeed(job: _Job, row: Features) -> None:
    if not np.isfinite(row).all():
        _fail(job, UnreadablePhoto(job.photo.name, "unreadable", "the network has no answer to it"))
        return
    with suppress(InvalidStateError):
        job.future.set_result(row)


def _fail(job: _Job, error: BaseException) -> None:
    job.prepared = None
    with suppress(InvalidStateError):
        job.future.set_exception(error)


def _too_late() -> Problem:
    return Problem(503, "too-slow", "the photo waited too long", "try again", retry_after=2)
