"""What a training reports, kept as JSON lines and sent to the trackers that a team uses.

A tracker that fails is named once and left alone from then on: no training ends because of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from featx.errors import FeatxError, did_you_mean
from featx.files.atomic import write_atomic
from featx.files.regular import read_regular
from featx.finetuning.cut.processes import started
from featx.finetuning.events import Kept, Planned, TuneEvents
from featx.finetuning.options import TuneOptions

if TYPE_CHECKING:
    from featx.backbones.tuned_card import Epoch, Reached, TunedCard

Fact = str | int | float | None
Facts = Mapping[str, Fact]
# Under this name the trackers list their runs.
PROJECT = "featx"
LOG, BOARDS = ".jsonl", "tensorboard"


class Tracker(Protocol):
    """Keeps what a training reports: facts at its beginning, numbers after each epoch, and how it ended."""

    name: str

    def begin(self, facts: Facts, first: int) -> None:
        """The training begins, or goes on, with the epoch `first`."""

    def epoch(self, epoch: Epoch, numbers: Facts) -> None:
        """An epoch is over."""

    def end(self, outcome: Facts, *, whole: bool) -> None:
        """The training is over, or was given up."""


class Tracking(TuneEvents):
    """Hands what a run reports to its trackers, in their words."""

    def __init__(
        self, facts: Facts, trackers: Sequence[Tracker], failed: Callable[[str, str], None], clock: Callable[[], float]
    ) -> None:
        self._facts, self._trackers, self._failed = dict(facts), list(trackers), failed
        self._clock, self._begun = clock, clock()
        self._first, self._started = 1, False

    def planned(self, plan: Planned) -> None:
        """Facts about the photos."""
        self._facts |= {"backbone": plan.backbone, "categories": plan.categories}
        self._facts |= {"tuned_on": plan.tuned, "judged_on": plan.judged}

    def before(self, reached: Reached) -> None:
        """What the frozen network reaches."""
        self._facts |= {"before": reached.accuracy, "before_classifier": reached.classifier}

    def cut(self, kept: Kept) -> None:
        """Where it is cut."""
        self._facts |= {"cut": kept.cut, "views": kept.views}

    def going_on(self, epoch: int, epochs: int) -> None:
        """The epochs before this one were reported by an earlier run."""
        self._first = epoch

    def epoch(self, epoch: Epoch, epochs: int, *, best: bool) -> None:
        """The numbers of an epoch."""
        self._start()
        numbers = {"cut": self._facts.get("cut"), **msgspec.to_builtins(epoch), "best": best}
        numbers["seconds"] = round(self._clock() - self._begun, 3)
        self._each(lambda tracker: tracker.epoch(epoch, numbers))

    def finished(self, card: TunedCard, file: Path | None) -> None:
        """How it ended."""
        self._start()
        outcome: dict[str, Fact] = {"after": card.after.accuracy, "gain": card.gain[0], "p": card.gain[3]}
        outcome |= {"written": file is not None, "seconds": round(self._clock() - self._begun, 3)}
        self._each(lambda tracker: tracker.end(outcome, whole=True))
        self._trackers.clear()

    def given_up(self) -> None:
        """The run ended with an error."""
        if self._started:
            self._each(lambda tracker: tracker.end({}, whole=False))

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._each(lambda tracker: tracker.begin(self._facts, self._first))

    def _each(self, tell: Callable[[Tracker], object]) -> None:
        for tracker in list(self._trackers):
            try:
                tell(tracker)
            except Exception as error:  # noqa: BLE001 - the libraries and servers of others
                self._trackers.remove(tracker)
                self._failed(tracker.name, f"{error}".strip().split("\n")[0] or type(error).__name__)


# --- the trackers ----------------------------------------------------------------------------------------------------


class JsonLines:
    """`NAME.jsonl`: a line for the beginning, one for each epoch, one for the end."""

    name = "the log"

    def __init__(self, file: Path) -> None:
        self.file = file

    def begin(self, facts: Facts, first: int) -> None:
        """A new file, or that of the interrupted run up to where this one goes on."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        earlier = [line for line in _lines(self.file) if line.get("event") == "epoch" and line["number"] < first]
        lines = [{"event": "begun", **facts}, *(earlier if first > 1 else [])]
        write_atomic(self.file, "".join(_line(line) for line in lines).encode())

    def epoch(self, epoch: Epoch, numbers: Facts) -> None:
        """One more line."""
        self._append({"event": "epoch", **numbers})

    def end(self, outcome: Facts, *, whole: bool) -> None:
        """The last line of a whole run."""
        if whole:
            self._append({"event": "ended", **outcome})

    def _append(self, line: Facts) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(_line(line))


class TensorBoard:
    """Event files, a folder for each run: `tensorboard --logdir artifacts/tuned/tensorboard`."""

    name = "tensorboard"

    def __init__(self, run: str, folder: Path) -> None:
        self.folder = folder / BOARDS / run

    def begin(self, facts: Facts, first: int) -> None:
        """A new folder, or that of the interrupted run."""
        from torch.utils.tensorboard import SummaryWriter

        earlier = sorted(self.folder.glob("*")) if first > 1 else []
        folder = earlier[-1] if earlier else self.folder / time.strftime("%Y%m%d-%H%M%S")
        self._writer: Any = SummaryWriter(str(folder), purge_step=first)
        self._writer.add_text("facts", "\n".join(f"    {name}: {value}" for name, value in facts.items()))

    def epoch(self, epoch: Epoch, numbers: Facts) -> None:
        """A point on each curve."""
        for name, value in _curves(epoch).items():
            self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def end(self, outcome: Facts, *, whole: bool) -> None:
        """The outcome as text, and the file closed."""
        self._writer.add_text("outcome", "\n".join(f"    {name}: {value}" for name, value in outcome.items()))
        self._writer.close()


class MLflow:
    """A run of the experiment `featx` where `MLFLOW_TRACKING_URI` leads, else in the folder `mlruns`."""

    name = "mlflow"

    def __init__(self, run: str, folder: Path) -> None:
        self.run = run

    def begin(self, facts: Facts, first: int) -> None:
        """A run with the facts as parameters."""
        # Nothing is sent but to the server of the team, and one that is away holds a training up for seconds at most.
        for variable, setting in (
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("MLFLOW_ALLOW_FILE_STORE", "true"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ):
            os.environ.setdefault(variable, setting)
        from mlflow import MlflowClient

        # Its usual place is a database, for which its smaller package lacks a library; a folder needs none.
        place = os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").absolute().as_uri()
        self._client: Any = MlflowClient(place)
        experiment = self._client.get_experiment_by_name(PROJECT)
        number = experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
        self._id = self._client.create_run(number, run_name=self.run).info.run_id
        for fact, value in facts.items():
            self._client.log_param(self._id, fact, value)

    def epoch(self, epoch: Epoch, numbers: Facts) -> None:
        """A point on each curve."""
        for name, value in _curves(epoch).items():
            self._client.log_metric(self._id, name, value, step=epoch.number)

    def end(self, outcome: Facts, *, whole: bool) -> None:
        """The outcome as metrics, and the run closed."""
        for name, value in outcome.items():
            self._client.log_metric(self._id, name, float(value or 0))
        self._client.set_terminated(self._id, "FINISHED" if whole else "FAILED")


class WeightsAndBiases:
    """A run of the project `featx`; under `FEATX_OFFLINE` it stays on this machine until `wandb sync`."""

    name = "wandb"

    def __init__(self, run: str, folder: Path) -> None:
        self.run, self.folder = run, folder

    def begin(self, facts: Facts, first: int) -> None:
        """A run with the facts as its configuration."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        offline: dict[str, Any] = {"mode": "offline"} if os.environ.get("FEATX_OFFLINE") else {}
        settings = wandb.Settings(console="off", silent=True, init_timeout=20)
        self._run: Any = wandb.init(
            project=PROJECT, name=self.run, config=dict(facts), dir=str(self.folder), settings=settings, **offline
        )

    def epoch(self, epoch: Epoch, numbers: Facts) -> None:
        """A point on each curve."""
        self._run.log(_curves(epoch), step=epoch.number)

    def end(self, outcome: Facts, *, whole: bool) -> None:
        """The outcome as the run's summary, and the run closed."""
        self._run.summary.update(dict(outcome))
        self._run.finish(exit_code=0 if whole else 1)


# Each tracker of others: its class, the module that it needs, and the extra that brings it.
TRACKERS: Mapping[str, tuple[Callable[[str, Path], Tracker], str]] = {
    "tensorboard": (TensorBoard, "tensorboard"),
    "mlflow": (MLflow, "mlflow"),
    "wandb": (WeightsAndBiases, "wandb"),
}


def trackers_of(options: TuneOptions, name: str, folder: Path) -> list[Tracker]:
    """The log of every run, and the trackers that the options name; one that is not installed is refused."""
    trackers: list[Tracker] = [JsonLines(folder / f"{name}{LOG}")]
    for wanted in dict.fromkeys(options.track):
        if wanted not in TRACKERS:
            names = list(TRACKERS)
            raise FeatxError(
                "bad-flag",
                f"there is no tracker `{wanted}`",
                did_you_mean(wanted, names, f"choose {', '.join(names)}"),
            )
        make, module = TRACKERS[wanted]
        if find_spec(module) is None:
            raise FeatxError(
                "extra-missing", f"`--track {wanted}` needs one more package", f'pip install "featx[{wanted}]"'
            )
        trackers.append(make(name, folder))
    return trackers


@contextmanager
def tracked(events: TuneEvents, options: TuneOptions, name: str, folder: Path) -> Iterator[TuneEvents]:
    """Events that also reach the trackers of the options."""
    trackers = trackers_of(options, name, folder) if started().leads else []
    facts: Facts = {"name": name, **options.recipe()}
    tracking = Tracking(facts, trackers, events.tracker_failed, time.monotonic)
    try:
        yield heard_by(events, tracking)
    except BaseException:
        tracking.given_up()
        raise


def heard_by(person: TuneEvents, tracking: TuneEvents) -> TuneEvents:
    """Events that reach the trackers, then a person, who may end the run; how far a step is, only the person hears."""
    both = TuneEvents()
    for name in vars(TuneEvents):
        if name == "progress":
            setattr(both, name, person.progress)
        elif not name.startswith("_"):
            setattr(both, name, partial(_in_turn, [getattr(tracking, name), getattr(person, name)]))
    return both


def _in_turn(listeners: Sequence[Callable[..., object]], *facts: object, **named: object) -> None:
    for listener in listeners:
        listener(*facts, **named)


def _curves(epoch: Epoch) -> dict[str, float]:
    return {"loss": epoch.loss, "judged": epoch.judged, "log_loss": epoch.log_loss}


def _line(line: Mapping[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a killed run may have left half of one."""
    try:
        lines = read_regular(file).decode(errors="replace").splitlines()
    except OSError:
        return []
    kept = []
    for line in lines:
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict):
            kept.append(read)
    return kept
