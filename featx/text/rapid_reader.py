"""The reader of `featx[read]`: PP-OCRv6 as it travels in the wheel of rapidocr, run by OpenVINO.

One network finds lines, another reads them. A first look at low resolution spares photos without text the rest.
Only the models and the outlines of rapidocr are used: its own engines would fetch models that are missing.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from featx.backbones.engines.no_telemetry import import_without_telemetry
from featx.compute.threads import cores
from featx.errors import FeatxError
from featx.text.plain import folded, plain_line
from featx.text.records import TWO_LOOKS, Box, Pixels, TextLine

Floats = NDArray[np.float32]
Infer = Callable[[Floats], Floats]
# The four corners of a line.
Outline = NDArray[np.float32]

# The models as published, by their SHA-256: a wheel with others must be measured first.
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
PINNED: Mapping[str, str] = {
    DETECTOR: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    RECOGNISER: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}
# Raised when the same models would read other text.
RECIPE = 5
# The longer side of a photo: for the first look, and for finding lines. Photos below the last are enlarged.
FIRST_LOOK, LEAST_SIDE, MOST_SIDE = 320, 736, 960
# With two looks, lines are looked for once more on a smaller photo, in which large and blurred letters are whole.
SMALLER = 544 / 736
LEAST_HEAT, LEAST_BOX = 0.3, 0.3
# In the first look, text is a patch at least as hot as this, so many pixels large, and not so tall: smooth garments and
# fruit glow as a whole.
GLOW, SMALLEST_PATCH, TALLEST_PATCH = 0.7, 12, 60
# Lines of which the reader is less sure are mostly textures.
LEAST_CONFIDENCE = 0.5
# A line as sure as this is not read again where the second look finds it too; two lines are one where so much of the
# smaller is in both.
SURE, SAME_PLACE = 0.97, 0.5
# The average letter of a photo that is upside down is less sure.
HARDLY = 0.8
# A line so much taller than wide runs up or down. A photo with many is read as it is if turning it loses so much.
TALL, LOST = 1.5, 0.05
# With the limits of sides, this bounds the time of one photo: it has at most so many lines, of at most such a width.
MOST_LINES_READ, WIDEST = 64, 960
LINES_AT_ONCE, HEIGHT = 6, 48
BLANK = 0


class _Seen(NamedTuple):
    """A line where it is, and as it was read."""

    outline: Outline
    text: str
    confidence: float


class RapidReader:
    """Finds lines and reads them; each thread has requests of its own, and each request one core."""

    name = "rapidocr (PP-OCRv6 small)"

    def __init__(self, detector: Path, recogniser: Path, looks: int = 1) -> None:
        import cv2

        self.looks = looks
        openvino = import_without_telemetry("openvino")
        # Photos are read side by side; more threads for each would only wait for one another.
        cv2.setNumThreads(1)
        core = openvino.Core()
        settings = {
            # bf16 would be faster, but only some processors have it, and the text would depend on them.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": cores(),
            "NUM_STREAMS": cores(),
        }
        self._networks = {}
        for path in (detector, recogniser):
            network = core.read_model(str(path))
            if path == recogniser:
                self._letters = ["", *_letters(network), " "]
            self._networks[path.name] = core.compile_model(network, "CPU", settings)
        self._mine = threading.local()

    @classmethod
    def opened(cls, looks: int = 1) -> Self:
        """The reader with the models of the installed wheel, verified."""
        for package in ("rapidocr", "openvino"):
            if find_spec(package) is None:
                raise FeatxError(
                    "extra-missing",
                    f"reading text off photos needs {package}, which is not installed",
                    "`pip install 'featx[read]'`",
                )
        return cls(_verified(DETECTOR), _verified(RECOGNISER), looks)

    @property
    def fingerprint(self) -> str:
        """The models, how photos are prepared for them, and what runs them."""
        models = "+".join(digest[:8] for digest in PINNED.values())
        return f"ppocr-v6-small/{RECIPE} {models} f32" + (TWO_LOOKS if self.looks == 2 else "")

    def read(self, images: Sequence[Pixels]) -> list[tuple[TextLine, ...]]:
        """The lines of each photo."""
        return [self._read(image) for image in images]

    def _read(self, image: Pixels) -> tuple[TextLine, ...]:
        import cv2

        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not _may_have_text(self._heat(bgr, FIRST_LOOK)[0, 0]):
            return ()
        outlines = self._outlines(bgr, _side(bgr))
        lines = self._lines(bgr, outlines)
        if not _on_its_side(outlines):
            return lines
        turned = self._on_other_side(bgr)
        # A pack held on its side among others, or columns of small print: not all of the photo lies so.
        return lines if _surely_read(turned) < (1 - LOST) * _surely_read(lines) else turned

    def _on_other_side(self, bgr: NDArray[Any]) -> tuple[TextLine, ...]:
        """What is read of a photo that is turned to the left."""
        turned = np.ascontiguousarray(np.rot90(bgr))
        lines = self._lines(turned, self._outlines(turned, _side(turned)))
        return tuple(replace(line, box=_turned_back(line.box, bgr.shape[1])) for line in lines)

    def _lines(self, bgr: NDArray[Any], outlines: list[Outline]) -> tuple[TextLine, ...]:
        """What is read of these lines, and of those of a second look, in reading order."""
        first, turned = self._either_way(bgr, _largest(outlines, MOST_LINES_READ))
        seen = _in_order(first + (self._second_look(bgr, first, turned=turned) if self.looks == 2 else []))
        lines = [TextLine(plain_line(one.text), one.confidence, _box(one.outline, bgr)) for one in seen]
        worth = [line for line in lines if line.confidence >= LEAST_CONFIDENCE and _letters_in(line.text) > 1]
        kept = worth if self.looks == 1 else _each_once(worth)
        return tuple(reversed(kept) if turned else kept)

    def _second_look(self, bgr: NDArray[Any], first: list[_Seen], *, turned: bool) -> list[_Seen]:
        """The lines of a smaller photo that were not surely read before."""
        left = _unsure(self._outlines(bgr, _side(bgr) * SMALLER), first)
        return self._seen(bgr, _largest(left, MOST_LINES_READ - len(first)), turned=turned)

    def _either_way(self, bgr: NDArray[Any], outlines: list[Outline]) -> tuple[list[_Seen], bool]:
        """These lines, and whether they are upside down: then turned letters are surer."""
        upright = self._seen(bgr, outlines)
        if not upright or _sureness(upright) >= HARDLY:
            return upright, False
        turned = self._seen(bgr, outlines, turned=True)
        return (turned, True) if _sureness(turned) > _sureness(upright) else (upright, False)

    def _seen(self, bgr: NDArray[Any], outlines: list[Outline], *, turned: bool = False) -> list[_Seen]:
        """These lines as they are read, upright or upside down; a steep one, which may run up or down, as is surer."""
        cuts = [_cut(bgr, outline) for outline in outlines]
        cuts = [cut[::-1, ::-1] for cut in cuts] if turned else cuts
        steep = [i for i, outline in enumerate(outlines) if _is_steep(outline)]
        texts = self._recognised([*cuts, *(cuts[i][::-1, ::-1] for i in steep)])
        for i, other in zip(steep, texts[len(cuts) :], strict=True):
            texts[i] = max(texts[i], other, key=lambda read: read[1])
        return [_Seen(outline, *read) for outline, read in zip(outlines, texts, strict=False)]

    # --- lines ----------------------------------------------------------------------------------------------------

    def _heat(self, bgr: NDArray[Any], side: float) -> Floats:
        """For each place of the photo how much it looks like text."""
        height, width = (_grid(length * side / max(bgr.shape[:2])) for length in bgr.shape[:2])
        return self._request(DETECTOR)(_normalised(bgr, width, height)[None])

    def _outlines(self, bgr: NDArray[Any], side: float) -> list[Outline]:
        """The four corners of each line in a photo of this size."""
        from rapidocr.ch_ppocr_det.utils import DBPostProcess

        outline = DBPostProcess(LEAST_HEAT, LEAST_BOX, 1000, 1.6, "fast", True)
        corners, _ = outline(self._heat(bgr, side), bgr.shape[:2])
        return [np.asarray(one, dtype=np.float32) for one in corners]

    # --- reading ----------------------------------------------------------------------------------------------------

    def _recognised(self, cuts: list[NDArray[Any]]) -> list[tuple[str, float]]:
        """The text of each line; lines of similar length are read together."""
        widths = [min(WIDEST, max(1, round(HEIGHT * cut.shape[1] / cut.shape[0]))) for cut in cuts]
        order = np.argsort(widths, kind="stable").tolist()
        texts: dict[int, tuple[str, float]] = {}
        for start in range(0, len(order), LINES_AT_ONCE):
            some = order[start : start + LINES_AT_ONCE]
            batch = np.zeros((len(some), 3, HEIGHT, _grid(max(widths[i] for i in some) + 16)), dtype=np.float32)
            for row, i in zip(batch, some, strict=True):
                row[:, :, : widths[i]] = _normalised(cuts[i], widths[i], HEIGHT)
            texts.update(zip(some, map(self._decoded, self._request(RECOGNISER)(batch)), strict=True))
        return [texts[i] for i in range(len(cuts))]

    def _decoded(self, steps: Floats) -> tuple[str, float]:
        """The letters of one line: the likeliest at each step, repeats and blanks left out."""
        likeliest, sure = steps.argmax(axis=1), steps.max(axis=1)
        kept = (likeliest != BLANK) & np.append(True, likeliest[1:] != likeliest[:-1])
        text = "".join(self._letters[letter] for letter in likeliest[kept].tolist())
        return text, float(sure[kept].mean()) if kept.any() else 0.0

    def _request(self, name: str) -> Infer:
        """A network's answers, by a request that belongs to this thread."""
        requests: dict[str, Any] = self._mine.__dict__.setdefault("requests", {})
        if name not in requests:
            requests[name] = self._networks[name].create_infer_request()

        def infer(numbers: Floats) -> Floats:
            return np.array(requests[name].infer([np.ascontiguousarray(numbers)])[0])

        return infer


def _verified(name: str) -> Path:
    """A model of the wheel, whole and the one that was measured."""
    package = find_spec("rapidocr")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "models" / name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _other_models(f"`{path}` cannot be read: {error.strerror}") from error
    if digest != PINNED[name]:
        raise _other_models(f"`{path}` is not the model that featx was measured with (SHA-256 {digest[:12]}…)")
    return path


def _other_models(what: str) -> FeatxError:
    return FeatxError(
        "weights-broken",
        f"{what}; rapidocr {version('rapidocr')} is installed",
        "install it again: `pip install --force-reinstall --no-deps 'rapidocr==3.10.0'`",
    )


def _may_have_text(heat: Floats) -> bool:
    """Whether a map of heat has a patch that could be a line of text."""
    import cv2

    _, patches, facts, _ = cv2.connectedComponentsWithStats((heat > LEAST_HEAT).astype(np.uint8))
    short = np.minimum(facts[:, cv2.CC_STAT_WIDTH], facts[:, cv2.CC_STAT_HEIGHT])
    likely = (facts[:, cv2.CC_STAT_AREA] >= SMALLEST_PATCH) & (short <= TALLEST_PATCH)
    likely[0] = False  # the background
    return bool((likely[patches] & (heat >= GLOW)).any())


def _letters_in(text: str) -> int:
    return sum(letter.isalnum() for letter in text)


def _letters(network: Any) -> list[str]:
    """The letters that the network tells apart, in the order of its answers."""
    letters: str = network.get_rt_info()["framework"]["character"].value
    return letters.splitlines()


def _grid(length: float) -> int:
    """A length that the networks take."""
    return max(32, round(length / 32) * 32)


def _normalised(bgr: NDArray[Any], width: int, height: int) -> Floats:
    import cv2

    resized = cv2.resize(bgr, (width, height)).astype(np.float32)
    return np.asarray((resized / 127.5 - 1).transpose(2, 0, 1), dtype=np.float32)


def _side(bgr: NDArray[Any]) -> float:
    """The longer side of the photo in which lines are looked for."""
    return float(min(MOST_SIDE, max(LEAST_SIDE, *bgr.shape[:2])))


def _on_its_side(outlines: list[Outline]) -> bool:
    """Whether most lines, by their length, run up or down."""
    sizes = np.array([np.ptp(outline, axis=0) for outline in outlines]).reshape(-1, 2)
    upward = sizes[:, 1] >= TALL * sizes[:, 0]
    return bool(2 * sizes[upward].max(axis=1, initial=0).sum() > sizes.max(axis=1, initial=0).sum())


def _is_steep(outline: Outline) -> bool:
    """Whether a line is cut out on its side: it is taller than wide, and only its letters tell where it begins."""
    wide, high, wide_too, high_too = np.linalg.norm(outline - np.roll(outline, -1, axis=0), axis=1)
    return bool(max(high, high_too) >= TALL * max(wide, wide_too))


def _turned_back(box: Box, width: int) -> Box:
    """A box of a photo that was turned to the left, in the photo as it was, of this width."""
    left, top, right, bottom = box
    return width - bottom, left, width - top, right


def _largest(outlines: list[Outline], most: int) -> list[Outline]:
    """The largest lines, where there are too many."""
    areas = [float(np.prod(outline.max(axis=0) - outline.min(axis=0))) for outline in outlines]
    kept = np.sort(np.argsort(np.negative(areas), kind="stable")[:most]).tolist()
    return [outlines[i] for i in kept]


def _in_order(seen: list[_Seen]) -> list[_Seen]:
    """Lines in reading order."""
    from rapidocr.ch_ppocr_det import TextDetector

    if not seen:
        return []
    by_corners = {one.outline.tobytes(): one for one in seen}
    ordered = TextDetector.sorted_boxes(np.array([one.outline for one in by_corners.values()]))
    return [by_corners[np.asarray(outline, dtype=np.float32).tobytes()] for outline in ordered]


def _sureness(seen: list[_Seen]) -> float:
    """How sure the average letter is."""
    letters = sum(len(one.text) for one in seen)
    return sum(one.confidence * len(one.text) for one in seen) / max(letters, 1)


def _surely_read(lines: tuple[TextLine, ...]) -> float:
    """How many letters were read, each as far as it is sure."""
    return sum(line.confidence * _letters_in(line.text) for line in lines)


def _unsure(outlines: list[Outline], seen: list[_Seen]) -> list[Outline]:
    """The lines that were not surely read before."""
    sure = [_around(one.outline) for one in seen if one.confidence >= SURE]
    return [outline for outline in outlines if not any(_same(_around(outline), box) for box in sure)]


def _each_once(lines: list[TextLine]) -> list[TextLine]:
    """Lines without those that another one repeats more surely."""
    return [line for line in lines if not any(_repeats(line, other) for other in lines)]


def _repeats(line: TextLine, other: TextLine) -> bool:
    """Whether another line has the same words at the same place, and is surer."""
    if (other.confidence, other.box) <= (line.confidence, line.box) or folded(line.text) != folded(other.text):
        return False
    return _same(line.box, other.box)


def _same(box: Box, other: Box) -> bool:
    """Whether most of the smaller of two boxes is in both."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    smaller = min(_area(box), _area(other))
    return width > 0 and height > 0 and width * height > SAME_PLACE * smaller


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _cut(bgr: NDArray[Any], outline: NDArray[Any]) -> NDArray[Any]:
    """A line cut out and set upright."""
    from rapidocr.utils.process_img import get_rotate_crop_image

    return np.asarray(get_rotate_crop_image(bgr, outline))


def _around(outline: Outline) -> Box:
    (left, top), (right, bottom) = np.floor(outline.min(axis=0)), np.ceil(outline.max(axis=0))
    return int(left), int(top), int(right), int(bottom)


def _box(outline: Outline, bgr: NDArray[Any]) -> Box:
    """The box around a line, inside the photo."""
    left, top, right, bottom = _around(outline)
    height, width = bgr.shape[:2]
    return max(0, left), max(0, top), min(width, right), min(height, bottom)
