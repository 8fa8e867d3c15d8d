"""`featx info`: what is in the store, what was trained, and is this machine ready?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.backbones.fingerprint import Fingerprint
from featx.cli.columns import word_lines
from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag, WeightsPlaceOption
from featx.cli.output import Output, percent, pluralise, size
from featx.cli.stores import store_in_use
from featx.errors import FeatxError
from featx.metrics.block_choice import BlockChoice
from featx.views.block_choices import describe_blocks, describe_layers

if TYPE_CHECKING:
    from featx.classifiers.listing import ClassifierFacts
    from featx.compute.machine import MachineFacts
    from featx.labels.decisions import AppliedDecisions
    from featx.store import Store
    from featx.store.facts import StoreFacts
    from featx.text.of_store import TextFacts
    from featx.workspace import Workspace


def info(
    check: Annotated[
        bool, typer.Option("--check", help="Verify every checksum and extract a sample of photos again.")
    ] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print where files are kept, one path per line.")] = False,
    store: StoreOption = None,
    weights: WeightsPlaceOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Show what the store holds, which classifiers exist and whether this machine is ready.

    Example: featx info --check
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.workspace import Workspace

    if weights is not None and not check:
        raise FeatxError("bad-flag", "only `--check` needs weights", "add `--check`, or leave `--weights` out")
    workspace = Workspace.here()
    path = store_in_use(store, out)
    if paths:
        _print_paths(workspace, path, out)
        return
    from featx.store import open_store

    opened = open_store(path)
    facts = _gather(opened, workspace, out)
    damage = _check(opened, workspace, out, weights) if check else _Damage()
    out.document(facts.to_dict() | ({"damage": damage.store + damage.classifiers + damage.texts} if check else {}))
    _print(facts, out)
    if check:
        _judge(damage, opened, out)


def _print_paths(workspace: Workspace, store: Path, out: Output) -> None:
    places = {"artifacts": workspace.root, "store": store, "classifiers": workspace.models, "log": workspace.log}
    out.records(["what", "path"], [[what, str(path)] for what, path in places.items()])


@dataclass(frozen=True)
class _Damage:
    """The faults that `--check` found, in sentences."""

    store: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def _check(store: Store, workspace: Workspace, out: Output, weights: str | None) -> _Damage:
    from featx.classifiers.listing import damaged_classifiers
    from featx.extraction import check_store
    from featx.retrieval import repair_index
    from featx.text.of_store import text_damage

    with out.progress(1, "check") as advance:
        damage = check_store(store, weights=weights)
        rebuilt = [] if damage else repair_index(store)
        classifiers = damaged_classifiers(workspace.models)
        advance(1)
    for line in rebuilt:
        out.warn(f"{line}; earlier answers of `featx similar` may have been wrong")
    return _Damage(tuple(damage), tuple(classifiers), tuple(text_damage(store.path)))


def _judge(damage: _Damage, store: Store, out: Output) -> None:
    from featx.embedding.reopen import rebuild_command
    from featx.text.text_file import texts_beside

    if damage.store:
        raise FeatxError(
            "store-broken",
            f"{store.path} is damaged:\n" + "\n".join(damage.store[:5]),
            f"rebuild it from the photos: `{rebuild_command(store)}`",
        )
    if damage.classifiers:
        raise FeatxError(
            "model-broken",
            "a classifier is damaged, but the store is intact:\n" + "\n".join(damage.classifiers[:5]),
            "train it again: `featx fit`",
        )
    if damage.texts:
        raise FeatxError(
            "store-broken",
            "the text of the photos is damaged, but the store is intact:\n" + "\n".join(damage.texts[:5]),
            f"delete {texts_beside(store.path)} and run `featx read`",
        )
    out.ok("every checksum holds, and a sample of photos gives the same features again")


@dataclass(frozen=True)
class _Facts:
    """Everything `featx info` shows."""

    store: StoreFacts
    current: str | None
    source: object
    fingerprint: dict[str, object]
    provenance: dict[str, object]
    look_alikes: BlockChoice | None
    text: TextFacts | None
    decisions: AppliedDecisions
    decisions_path: Path
    classifiers: list[ClassifierFacts]
    machine: MachineFacts

    def to_dict(self) -> dict[str, object]:
        """The document of `--json`."""
        return {
            "version": 1,
            **asdict(self.store),
            "current": self.current,
            "source": self.source,
            "fingerprint": self.fingerprint,
            "provenance": self.provenance,
            "look_alike_blocks": None if self.look_alikes is None else self.look_alikes.to_dict(),
            "text": None if self.text is None else asdict(self.text),
            "fixes": self._fixes(),
            "models": [asdict(classifier) for classifier in self.classifiers],
            "machine": asdict(self.machine),
        }

    def _fixes(self) -> dict[str, object] | None:
        done = self.decisions
        counts = {"changed": done.changed, "excluded": done.excluded, "kept": done.kept, "stale": done.stale}
        return {"path": str(self.decisions_path), "told": done.summary, **counts} if done.summary else None


def _gather(store: Store, workspace: Workspace, out: Output) -> _Facts:
    from featx.classifiers.listing import list_classifiers
    from featx.compute.machine import machine_facts
    from featx.labels.decisions import labels_after_decisions, where
    from featx.retrieval.cache import open_cached
    from featx.store.facts import facts_of

    decisions = labels_after_decisions(store)
    return _Facts(
        store=facts_of(store, decisions.labels),
        current=None if (current := workspace.noted()) is None else str(current),
        source=store.provenance.get("source"),
        fingerprint=store.fingerprint.to_dict(),
        provenance=dict(store.provenance),
        look_alikes=None if (index := open_cached(store.path)) is None else index.block_choice,
        text=_text_of(store, out),
        decisions=decisions,
        decisions_path=where(),
        classifiers=list_classifiers(workspace.models, store),
        machine=machine_facts(),
    )


def _text_of(store: Store, out: Output) -> TextFacts | None:
    from featx.text.of_store import text_facts

    try:
        return text_facts(store.path, store.digests)
    except FeatxError as error:
        out.warn(f"{error.message}; {error.hint}")
        return None


def _print(facts: _Facts, out: Output) -> None:
    lines = [*_store_lines(facts), *_classifier_lines(facts), *_made_lines(facts), *_machine_lines(facts.machine)]
    if out.verbose:
        lines += [("", f"{key}: {value}") for key, value in facts.fingerprint.items()]
    for name, text in lines:
        out.result(f"{name:<9}{text}")


def _store_lines(facts: _Facts) -> list[tuple[str, str]]:
    store, made = facts.store, facts.fingerprint
    counts = [
        pluralise(store.n, "photo"),
        pluralise(store.categories, "category", "categories"),
        pluralise(store.products, "product"),
    ]
    counts += [pluralise(store.unlabelled, "unlabelled photo")] if store.unlabelled else []
    details = [size(store.bytes), *([store.changed] if store.changed else [])]
    details += ["  ".join(f"{name} {n:,}" for name, n in sorted(store.splits.items()))] if store.splits else []
    layers: Any = facts.provenance.get("layer_choice")
    network = [str(made.get("backbone")), f"weights {made.get('weights')}", f"layer {made.get('layer')}"]
    edition = Fingerprint.from_dict(made).earlier_edition
    return [
        ("store", f"{store.store}   {' · '.join(counts)}"),
        ("", " · ".join(details)),
        ("backbone", " · ".join([*network, f"{store.width:,} numbers ({store.dtype})"])),
        *([("", _edition_line(edition))] if edition else []),
        *([("", f"layers chosen by {describe_layers(BlockChoice.from_dict(layers))}")] if layers else []),
        *([("", f"look-alikes by {describe_blocks(facts.look_alikes)}")] if facts.look_alikes else []),
        *([("text", _text_line(facts.text, store.n))] if facts.text else []),
    ]


def _edition_line(edition: str) -> str:
    """What an earlier built-in network means for a store."""
    return f"made by the {edition} edition of the built-in network: for new photos extract it again, with `--replace`"


def _text_line(text: TextFacts, photos: int) -> str:
    """How many photos have text."""
    left = "" if text.read == photos else f" that were read; {photos - text.read:,} were not"
    return f"on {text.with_text:,} of {pluralise(text.read, 'photo')}{left} · {pluralise(text.lines, 'line')}"


def _classifier_lines(facts: _Facts) -> list[tuple[str, str]]:
    lines = []
    for i, classifier in enumerate(facts.classifiers):
        used = "   ← used by `featx predict`" if classifier.used else ""
        text = f"{classifier.path}   {_score(classifier, facts.store.store)}{used}"
        lines += [("models" if i == 0 else "", text), *_training_lines(classifier)]
        lines += [("", f"  {line}") for line in word_lines(classifier.words)]
    if (
        len(
            {
                (classifier.measured_on, classifier.n, classifier.store)
                for classifier in facts.classifiers
                if classifier.n
            }
        )
        > 1
    ):
        lines.append(("", "scored on different photos: `featx compare` compares classifiers on the same ones"))
    if facts.decisions.summary:
        lines.append(("fixes", f"{facts.decisions_path}   {facts.decisions.summary}"))
    return lines


def _training_lines(classifier: ClassifierFacts) -> list[tuple[str, str]]:
    """What a classifier was trained on, and why it should be trained again."""
    if classifier.photos is None or classifier.categories is None:
        return []
    of = f"{pluralise(classifier.photos, 'photo')} in {pluralise(classifier.categories, 'category', 'categories')}"
    level = f" (level {classifier.level})" if classifier.level else ""
    when = f" on {classifier.written[:10]}" if classifier.written else ""
    lines = [("", f"  trained on {of}{level} of {classifier.trained_on}{when}")]
    if classifier.block_choice:
        lines.append(("", f"  uses {describe_blocks(BlockChoice.from_dict(classifier.block_choice))}"))
    if classifier.wants:
        lines.append(("", f"  wants {', '.join(classifier.wants)} beside the photo"))
    if classifier.stale:
        lines.append(("", f"  stale: {classifier.stale}; train it again: `{classifier.command}`"))
    return lines


def _score(classifier: ClassifierFacts, store: str) -> str:
    """The accuracy of a classifier and its photos: scores on different photos cannot be compared."""
    if classifier.accuracy is None:
        return "no readable card"
    if not classifier.n:
        return "not scored: too few products in each category"
    held_out = classifier.measured_on == "held-out photos"
    photos = pluralise(classifier.n, "held-out photo" if held_out else "photo")
    where = f"on {photos}" if held_out else f"in cross-validation on {photos}"
    other = "" if Path(str(classifier.store)).absolute() == Path(store).absolute() else f" of {classifier.store}"
    return f"{percent(classifier.accuracy)} right {where}{other}"


def _made_lines(facts: _Facts) -> list[tuple[str, str]]:
    lines, made = [], facts.provenance
    if made:
        rate = made.get("images_per_second")
        pace = f" · {rate} photos/s" if rate else ""
        lines.append(("made", f"{made.get('written')} on {made.get('device')}{pace}"))
        lines.append(("with", f"{made.get('command')}"))
    if facts.store.columns:
        lines.append(("columns", ", ".join(facts.store.columns)))
    return lines


def _machine_lines(machine: MachineFacts) -> list[tuple[str, str]]:
    offers = [pluralise(machine.threads, "thread"), "a GPU" if machine.gpu else "no GPU"]
    versions = [f"{name} {number}" for name, number in machine.versions.items()]
    return [
        ("machine", " · ".join([*offers, f"{size(machine.free_bytes)} free"])),
        ("versions", " · ".join([*versions, f"Python {machine.python}"])),
    ]
