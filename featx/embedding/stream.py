"""Photos to features: the one stream that all of featx uses.

Photos are read and decoded in several threads, computed in batches of one shape, and come out in their order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder, OutOfMemory
from featx.compute.threads import cores
from featx.errors import FeatxError
from featx.images import PhotoLike, UnreadablePhoto, open_photo

if TYPE_CHECKING:
    from PIL import Image

BATCH_ON_CPU = 16
BATCH_ON_GPU = 128
# Batches are padded to their full shape, so a huge one would take huge memory for a few photos.
MOST_IN_A_BATCH = 4096
# While one batch is computed, the next one is ready.
BATCHES_UNDER_WAY = 2
# Photos that need no computing wait for those before them that do. When more than these wait, a batch that is not full
# yet is computed, for the sake of memory.
MOST_WAITING = 4096

Features = NDArray[np.float32]
# The last feature maps of each network for one photo, (channels, height, width); None for a network without maps.
Maps = tuple[Features | None, ...]
Images = Sequence["Image.Image"]
Lookup = Callable[[str], Features | None]
Photo = TypeVar("Photo")
# An encoder, the digest of a photo and one view of it, to what the encoder is shown of it.
Prepare = Callable[[Encoder, str, Any], Any]


@dataclass(frozen=True)
class Source:
    """A photo before it is decoded: the digest of its bytes, and a function that gives its image, or several views.

    `decode` takes the least size of a JPEG decoded at reduced scale; None for full size.
    """

    digest: str
    decode: Callable[[tuple[int, int] | None], Images]


@dataclass(frozen=True)
class Embedded(Generic[Photo]):
    """The outcome for a photo: its features, (width,) or (views, width), or the reason why it could not be read.

    Neither is there when `read` said that the photo need not be computed. `image` and `maps` are there when `embed`
    was to keep the maps.
    """

    photo: Photo
    digest: str = ""
    features: Features | None = None
    reused: bool = False
    unreadable: UnreadablePhoto | None = None
    image: Image.Image | None = None
    maps: Maps = ()


def read_source(photo: PhotoLike, *, exact: bool = False, name: str = "") -> Source:
    """A photo in any form; with `exact` a large JPEG is decoded at its full size."""
    undecoded = open_photo(photo, name)
    return Source(undecoded.digest, lambda smallest: [undecoded.decode(None if exact else smallest)])


def nothing_known(digest: str) -> Features | None:
    """A lookup that knows no photo."""


def prepare_whole(encoder: Encoder, digest: str, view: Any) -> Any:
    """A view as the encoder takes it."""
    return encoder.prepare(view)


def batch_size_for(encoder: Encoder) -> int:
    """How many photos a batch of an encoder has: the same for every command, for the last digits depend on it."""
    if not encoder.spec.device.startswith("cpu"):
        return BATCH_ON_GPU
    return min(encoder.spec.batch_hint or BATCH_ON_CPU, MOST_IN_A_BATCH)


def embed(
    photos: Iterable[Photo],
    open_encoder: Callable[[], Encoder],
    *,
    read: Callable[[Any], Source | None] = read_source,
    known: Lookup = nothing_known,
    prepare: Prepare = prepare_whole,
    workers: int | None = None,
    batch: int | None = None,
    stop: Event | None = None,
    on_halved: Callable[[int], None] | None = None,
    keep_maps: bool = False,
) -> EmbeddingStream[Photo]:
    """Features of photos, in their order, with only a few batches in memory.

    `read` is called for every photo in worker threads; None from it means that the photo is not to be computed.
    `known` spares computing by the digest of a photo's bytes, `prepare` may spare a part of it.
    The encoder is opened for the first photo that needs it.
    Every batch has `batch` photos, the last one filled up, so that no photo's numbers depend on its neighbours.
    Once `stop` is set no further batch begins, and the stream ends with what is under way.
    Where the device has too little memory for a batch, batches get half the size, and `on_halved` is called with it.
    With `keep_maps` each photo, of one view, keeps its decoded image and the feature maps that led to its features.
    """
    threads, stop = workers or min(16, cores()), stop or Event()
    return EmbeddingStream(photos, open_encoder, read, known, prepare, threads, batch or 0, stop, on_halved, keep_maps)


class EmbeddingStream(Iterator[Embedded[Photo]]):
    """The photos of `embed` as they come out, and how it went so far; leaving its `with` block ends the threads."""

    def __init__(
        self,
        photos: Iterable[Photo],
        open_encoder: Callable[[], Encoder],
        read: Callable[[Photo], Source | None],
        known: Lookup,
        prepare: Prepare,
        workers: int,
        batch: int,
        stop: Event,
        on_halved: Callable[[int], None] | None,
        keep_maps: bool,
    ) -> None:
        # Photos in a batch; 0 until the encoder is open, less than at first after memory ran out.
        self.batch = batch
        self.seconds_reading = 0.0
        self.seconds_computing = 0.0
        self._photos, self._read, self._known, self._prepare = iter(photos), read, known, prepare
        self._encoder = _OpenedOnce(open_encoder)
        self._workers, self._stop, self._on_halved, self._keep_maps = workers, stop, on_halved, keep_maps
        self._halving = Lock()
        self._loading: deque[Future[_Slot[Photo] | None]] = deque()
        self._in_order: deque[_Slot[Photo]] = deque()
        self._filling: list[_Slot[Photo]] = []
        self._computing: deque[Future[None]] = deque()
        self._computers: ThreadPoolExecutor | None = None
        self._results = self._run()

    def __next__(self) -> Embedded[Photo]:
        return next(self._results)

    def close(self) -> None:
        """Read and compute no further."""
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> Generator[Embedded[Photo], None, None]:
        with ExitStack() as stack:
            readers = _threads(stack, self._workers, "read")
            while not self._stop.is_set():
                self._read_ahead(readers)
                if not self._loading:
                    break
                self._take_in(self._loading.popleft())
                if self._filling and len(self._filling) >= self._batch_size():
                    self._begin_batch(stack)
                elif len(self._in_order) > MOST_WAITING:
                    self._begin_batch(stack)
                    self._wait_for_batches(0)
                yield from self._finished()
            self._begin_batch(stack)
            while self._computing:
                self._wait_for_batches(len(self._computing) - 1)
                yield from self._finished()
            yield from self._finished()

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read_ahead(self, readers: ThreadPoolExecutor) -> None:
        ahead = 2 * self._workers + 2 * (self.batch or BATCH_ON_CPU)
        while len(self._loading) < ahead:
            try:
                photo = next(self._photos)
            except StopIteration:
                return
            self._loading.append(readers.submit(self._load, photo))

    def _load(self, photo: Photo) -> _Slot[Photo] | None:
        """One photo as far as a worker thread can bring it; None once the stream is stopped."""
        if self._stop.is_set():
            return None
        try:
            source = self._read(photo)
            if source is None:
                return _Slot(photo)
            features = self._known(source.digest)
            if features is not None:
                return _Slot(photo, source.digest, features=features, reused=True)
            encoder = self._encoder.get()
            views = source.decode(encoder.spec.decode_size)
            prepared = [self._prepare(encoder, source.digest, view) for view in views]
            return _Slot(photo, source.digest, prepared, image=views[0] if self._keep_maps else None)
        except UnreadablePhoto as error:
            return _Slot(photo, unreadable=error)

    def _take_in(self, loading: Future[_Slot[Photo] | None]) -> None:
        begun = time.monotonic()
        slot = loading.result()
        self.seconds_reading += time.monotonic() - begun
        if slot is None:
            return
        self._in_order.append(slot)
        if slot.prepared is not None:
            self._filling.append(slot)

    # --- computing ----------------------------------------------------------------------------------------------------

    def _batch_size(self) -> int:
        self.batch = self.batch or batch_size_for(self._encoder.get())
        return self.batch

    def _begin_batch(self, stack: ExitStack) -> None:
        if not self._filling:
            return
        self._batch_size()
        if self._computers is None:
            self._computers = _threads(stack, self._encoder.get().spec.parallel_calls, "compute")
        self._wait_for_batches(BATCHES_UNDER_WAY - 1)
        self._computing.append(self._computers.submit(self._compute, self._filling))
        self._filling = []

    def _wait_for_batches(self, left: int) -> None:
        """Wait until so many batches at most are under way."""
        while len(self._computing) > left:
            begun = time.monotonic()
            self._computing.popleft().result()
            self.seconds_computing += time.monotonic() - begun

    def _compute(self, slots: Sequence[_Slot[Photo]]) -> None:
        features, maps = self._features([view for slot in slots for view in slot.prepared or ()])
        start = 0
        for slot in slots:
            views = len(slot.prepared or ())
            slot.features = features[start] if views == 1 else features[start : start + views]
            slot.maps = maps[start] if maps else ()
            slot.prepared = None
            start += views

    def _features(self, prepared: Sequence[Any]) -> tuple[Features, list[Maps]]:
        """Features and maps in batches of one shape, halved if the device has too little memory."""
        encoder = self._encoder.get()
        done: list[Features] = []
        maps: list[Maps] = []
        start = 0
        while start < len(prepared):
            size = self.batch
            part = list(prepared[start : start + size])
            padded = part + [part[-1]] * (size - len(part))
            try:
                rows, own = _with_maps(encoder, padded) if self._keep_maps else (encoder.features(padded), [])
            except OutOfMemory as error:
                if size == 1:
                    raise _too_little_memory(encoder) from error
                self._halve(size)
                continue
            done.append(rows[: len(part)])
            maps += own[: len(part)]
            start += len(part)
        return np.concatenate(done), maps

    def _halve(self, size: int) -> None:
        with self._halving:
            if self.batch == size:  # otherwise another batch has halved it already
                self.batch = size // 2
                if self._on_halved is not None:
                    self._on_halved(self.batch)

    def _finished(self) -> Iterator[Embedded[Photo]]:
        while self._in_order and self._in_order[0].prepared is None:
            slot = self._in_order.popleft()
            yield Embedded(slot.photo, slot.digest, slot.features, slot.reused, slot.unreadable, slot.image, slot.maps)


@dataclass
class _Slot(Generic[Photo]):
    """One photo in the stream; its prepared form is dropped once its features exist."""

    photo: Photo
    digest: str = ""
    prepared: Sequence[Any] | None = None
    features: Features | None = None
    reused: bool = False
    unreadable: UnreadablePhoto | None = None
    image: Image.Image | None = None
    maps: Maps = ()


class _OpenedOnce:
    """An encoder shared by several threads; the first one opens it."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._lock = open_encoder, Lock()
        self._encoder: Encoder | None = None

    def get(self) -> Encoder:
        if self._encoder is None:
            with self._lock:
                if self._encoder is None:
                    self._encoder = self._open()
        return self._encoder


def _threads(stack: ExitStack, n: int, name: str) -> ThreadPoolExecutor:
    """Threads that end with the stream; work not started by then is dropped."""
    pool = ThreadPoolExecutor(n, thread_name_prefix=name)
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool


def _with_maps(encoder: Encoder, prepared: Sequence[Any]) -> tuple[Features, list[Maps]]:
    """Features of a batch, and for each photo the maps of every network."""
    rows, networks = encoder.features_with_maps(prepared)
    return rows, [tuple(None if maps is None else maps[i] for maps in networks) for i in range(len(prepared))]


def _too_little_memory(encoder: Encoder) -> FeatxError:
    return FeatxError(
        "out-of-memory",
        f"{encoder.spec.device} has too little memory for even one photo with {encoder.spec.name}",
        "try a smaller backbone, or `--device cpu`",
    )
