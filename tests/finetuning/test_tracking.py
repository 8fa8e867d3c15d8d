"""What a training reports is kept as JSON lines and reaches trackers; none of them can end a training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from featx.errors import FeatxError
from featx.finetuning import TuneOptions, tune
from featx.finetuning import trackers as tracking
from featx.finetuning.events import TuneEvents

QUICK = {"epochs": 2, "views": 0, "batch": 8, "lr": 0.01, "depth": 1, "patience": 99, "average": "none"}
LOG = Path("artifacts/tuned/shop.jsonl")


class Listener(TuneEvents):
    """Remembers which trackers failed, and may end a run after an epoch."""

    def __init__(self, last: int = 0) -> None:
        self.failed: list[tuple[str, str]] = []
        self.last = last

    def tracker_failed(self, name, reason):
        self.failed.append((name, reason))

    def epoch(self, epoch, epochs, *, best):
        if epoch.number == self.last:
            raise KeyboardInterrupt


def run(shop: Path, small: str, events: TuneEvents | None = None, **changed):
    return tune(shop, backbone=small, name="shop", options=TuneOptions(**{**QUICK, **changed}), events=events)


def logged() -> list[dict]:
    return [json.loads(line) for line in LOG.read_text().splitlines()]


def test_every_run_leaves_its_numbers_as_json_lines_even_if_no_network_is_written(shop, small, workplace):
    tuned = run(shop, small, lr=1e-9)
    assert tuned.file is None
    begun, *epochs, ended = logged()
    assert (begun["event"], begun["name"], begun["lr"], begun["before"]) == (
        "begun",
        "shop",
        1e-9,
        tuned.before.accuracy,
    )
    assert [(line["number"], line["loss"], line["judged"]) for line in epochs] == [
        (epoch.number, epoch.loss, epoch.judged) for epoch in tuned.history
    ]
    assert (ended["event"], ended["after"], ended["written"]) == ("ended", tuned.after.accuracy, False)


def test_an_interrupted_run_goes_on_in_its_log(shop, small, workplace):
    with pytest.raises(KeyboardInterrupt):
        run(shop, small, Listener(last=1))
    with LOG.open("a") as file:
        file.write('{"event": "epo')  # what a killed process leaves
    run(shop, small)
    assert [line.get("number", line["event"]) for line in logged()] == ["begun", 1, 2, "ended"]


def test_tensorboard_gets_every_curve(shop, small, workplace):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tuned = run(shop, small, track=("tensorboard",))
    (folder,) = Path("artifacts/tuned/tensorboard/shop").iterdir()
    events = loading.EventAccumulator(str(folder)).Reload()
    for name in ("loss", "judged", "log_loss"):
        points = [(point.step, point.value) for point in events.Scalars(name)]
        assert points == [(epoch.number, pytest.approx(getattr(epoch, name))) for epoch in tuned.history]


def test_mlflow_gets_facts_curves_and_outcome(shop, small, workplace, monkeypatch):
    sent = []

    class Client:
        def __init__(self, place):
            assert place == Path("mlruns").absolute().as_uri()

        def __getattr__(self, name):
            return lambda *given, **named: sent.append((name, *given[1:], *named.values()))

        def get_experiment_by_name(self, name):
            return SimpleNamespace(experiment_id=name)

        def create_run(self, *_, **__):
            return SimpleNamespace(info=SimpleNamespace(run_id="1"))

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    there(monkeypatch, "mlflow", MlflowClient=Client)
    tuned = run(shop, small, track=("mlflow",))
    assert ("log_param", "name", "shop") in sent
    assert ("log_metric", "loss", tuned.history[1].loss, 2) in sent
    assert ("log_metric", "after", tuned.after.accuracy) in sent
    assert sent[-1] == ("set_terminated", "FINISHED")


def test_a_tracker_that_fails_is_named_once_and_the_training_ends_as_without_it(shop, small, workplace, monkeypatch):
    whole = run(shop, small, keep=True).file.read_bytes()

    def away(**_: object) -> None:
        raise ConnectionError("the server is away\nand more")

    there(monkeypatch, "wandb", init=away, Settings=lambda **_: None)
    listener = Listener()
    tuned = run(shop, small, listener, keep=True, track=("wandb", "wandb"))
    assert listener.failed == [("wandb", "the server is away")]
    assert tuned.file.read_bytes() == whole
    assert [line["event"] for line in logged()] == ["begun", "epoch", "epoch", "ended"]


def test_a_full_disk_ends_the_log_and_not_the_training(shop, small, workplace, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracking, "write_atomic", full)
    listener = Listener()
    assert len(run(shop, small, listener).history) == 2
    assert listener.failed == [("the log", "[Errno 28] No space left on device")]


def test_an_unknown_or_missing_tracker_is_refused_before_anything_is_computed(shop, small, workplace, monkeypatch):
    with pytest.raises(FeatxError, match="there is no tracker `tensorbord`"):
        run(shop, small, track=("tensorbord",))
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(FeatxError, match="`--track wandb` needs one more package") as raised:
        run(shop, small, track=("wandb",))
    assert raised.value.code == "extra-missing" and not LOG.exists()


def there(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    """A library stands in for the one that may not be installed."""
    monkeypatch.setattr(tracking, "find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
