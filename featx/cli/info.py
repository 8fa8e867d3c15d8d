"""`featx info`: what is in the store, what was trained, and is this machine ready?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise, size
from featx.compute.threads import cores
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.store import Store


def info(
    check: Annotated[
        bool, typer.Option("--check", help="Read everything again, verify checksums, re-embed a sample.")
    ] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print where things lie, one path a line.")] = False,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Say what is in the store, which classifiers there are, and whether this machine is ready.

    Example: featx info --check
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.workspace import Workspace

    workspace = Workspace.here()
    path = workspace.current_store(store)
    if paths:
        out.records(
            ["what", "path"],
            [
                ["artifacts", str(workspace.root)],
                ["store", str(path)],
                ["classifiers", str(workspace.models)],
                ["log", str(workspace.log)],
            ],
        )
        return
    from featx.store import open_store

    opened = open_store(path)
    facts = _facts(opened, workspace.models)
    if check:
        from featx.extraction import check_store
        from featx.retrieval import mend_index

        with out.progress(1, "check") as advance:
            damage = check_store(opened)
            mended = [] if damage else mend_index(opened)
            models = _broken_models(workspace.models)
            advance(1)
        facts["damage"] = damage + models
        for one in mended:
            out.warn(f"{one}; what `featx similar` said from it may have been wrong")
    out.document(facts)
    _print(facts, out, verbose)
    if check:
        if damage:
            raise FeatxError(
                "store-broken",
                f"{path} is damaged:\n" + "\n".join(damage[:5]),
                f"make it again from the photos: `{_again(opened)}`",
            )
        if models:
            raise FeatxError(
                "model-broken",
                "a classifier is damaged; the store is whole:\n" + "\n".join(models[:5]),
                "train it again: `featx fit`",
            )
        out.ok("every checksum holds, and a sample of photos gives the same features again")


def _again(store: Store) -> str:
    """The command that makes a store again from its photos, in the way it was made."""
    import shlex

    from featx.embedding.reopen import asked_layer, same_weights

    made, how = store.fingerprint, store.provenance
    weights, layer = same_weights(made, how), asked_layer(made)
    words = ["featx", "extract", str(how.get("source") or "IMAGES"), "--backbone", str(made["backbone"])]
    words += ["--weights", weights] if weights else []
    words += ["--layer", layer, "--pool", str(made.get("pool"))] if layer else []
    words += ["--views", str(made["views"])] if made.get("views", 1) != 1 else []
    words += ["--precision", str(made["precision"])] if made.get("precision") not in (None, "fp32") else []
    words += ["--allow-outside"] if "--allow-outside" in str(how.get("command")) else []
    return shlex.join([*words, "--store", str(store.path), "--replace", "--yes"])


def _facts(store: Store, models: Path) -> dict[str, object]:
    fingerprint, provenance = store.fingerprint, store.provenance
    from featx.labels.decisions import fixed_labels, where

    fixed = fixed_labels(store)
    labels = {label for label in fixed.labels if label is not None}
    counts = {"changed": fixed.changed, "excluded": fixed.excluded, "kept": fixed.kept, "stale": fixed.stale}
    fixes = {"path": str(where()), "told": fixed.told, **counts} if fixed.told else None
    splits: dict[str, int] = {}
    for split in store.splits:
        if split:
            splits[split] = splits.get(split, 0) + 1
    stat = store.path.stat() if store.path.exists() else None
    return {
        "version": 1,
        "store": str(store.path),
        "n": len(store),
        "width": store.width,
        "dtype": str(store.dtype),
        "categories": len(labels),
        "products": len({p if p is not None else f"\0{i}" for p, i in zip(store.products, store.ids, strict=True)}),
        "splits": splits,
        "columns": list(store.columns),
        "bytes": stat.st_size if stat else 0,
        "changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(stat.st_mtime)) if stat else None,
        "source": provenance.get("source"),
        "fingerprint": dict(fingerprint),
        "provenance": dict(provenance),
        "fixes": fixes,
        "models": _models(models),
        "machine": _machine(),
    }


def _broken_models(models: Path) -> list[str]:
    """Every classifier is read and verified as `featx predict` would; what is wrong with it, and what mends it."""
    from featx.classifiers.persistence import load_classifier

    damage = []
    for path in sorted(models.glob("*.skops")):
        try:
            load_classifier(path)
        except FeatxError as error:
            damage.append(f"{error.message}; {error.hint}")
    return damage


def _models(models: Path) -> list[dict[str, object]]:
    """Every classifier, and whether `featx predict` takes it when none is named."""
    from featx.classifiers.registry import newest_classifier

    found = sorted(models.glob("*.skops"))
    newest = newest_classifier(models) if found else None
    return [_told_of(path) | {"used": path == newest} for path in found]


def _told_of(path: Path) -> dict[str, object]:
    """What the card beside a classifier says, for the list; a broken card is for `--check` to judge."""
    from featx.classifiers.card import read_card
    from featx.files.regular import read_regular

    try:
        card = read_card(read_regular(path.with_suffix(".json")))
        best = card["test"] or card["cv"]
        return {
            "path": str(path),
            "accuracy": best["accuracy"],
            "measured_on": "held-out pictures" if card["test"] else "cross-validation",
            "n": best["n"],
            "store": str(card.get("test_store") or card["store"]),
            "written": card["written"],
            "on": card["backbone"],
        }
    except (OSError, ValueError):
        return {"path": str(path), **dict.fromkeys(("accuracy", "measured_on", "n", "store", "written", "on"))}


def _score(model: dict[str, object], store: str) -> str:
    """How often a classifier is right, and on what: scores of other pictures are another thing."""
    if model["accuracy"] is None:
        return "no readable card"
    pictures = pluralise(_number(model, "n"), "picture")
    held = model["measured_on"] == "held-out pictures"
    where = f"on {pictures.replace(' ', ' held-out ')}" if held else f"in cross-validation on {pictures}"
    other = "" if Path(str(model["store"])).absolute() == Path(store).absolute() else f" of {model['store']}"
    if not _number(model, "n"):
        return "not scored: too few products in each category"
    return f"{model['accuracy']:.1%} right {where}{other}"


def _machine() -> dict[str, object]:
    import platform
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, str | None] = {}
    for name in ("featx", "torch", "torchvision", "scikit-learn", "h5py", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "threads": cores(),
        "gpu": Path("/dev/nvidia0").exists(),
        "free_bytes": shutil.disk_usage(".").free,
        "python": platform.python_version(),
        "versions": versions,
    }


def _number(facts: dict[str, object], key: str) -> int:
    return int(str(facts[key]))


def _print(facts: dict[str, object], out: Output, verbose: bool) -> None:
    fingerprint: dict[str, object] = facts["fingerprint"]  # type: ignore[assignment]
    provenance: dict[str, object] = facts["provenance"]  # type: ignore[assignment]
    machine: dict[str, object] = facts["machine"]  # type: ignore[assignment]
    splits: dict[str, int] = facts["splits"]  # type: ignore[assignment]
    pieces = [size(_number(facts, "bytes"))] + ([str(facts["changed"])] if facts["changed"] else [])
    pieces += ["  ".join(f"{name} {n:,}" for name, n in sorted(splits.items()))] if splits else []
    width = f"{_number(facts, 'width'):,} numbers ({facts['dtype']})"
    held = [
        pluralise(_number(facts, "n"), "image"),
        pluralise(_number(facts, "categories"), "category", "categories"),
        pluralise(_number(facts, "products"), "product"),
    ]
    made_by = [f"weights {fingerprint.get('weights')}", f"layer {fingerprint.get('layer')}", width]
    lines = [
        ("store", f"{facts['store']}   {' · '.join(held)}"),
        ("", " · ".join(pieces)),
        ("backbone", " · ".join([str(fingerprint.get("backbone")), *made_by])),
    ]
    models: list[dict[str, object]] = facts["models"]  # type: ignore[assignment]
    for i, model in enumerate(models):
        used = "   ← `featx predict` takes this one" if model["used"] else ""
        lines.append(("models" if i == 0 else "", f"{model['path']}   {_score(model, str(facts['store']))}{used}"))
    if len({(model["measured_on"], model["n"], model["store"]) for model in models if model["n"]}) > 1:
        lines.append(("", "not all scored on the same pictures: `featx compare` holds classifiers against each other"))
    fixes: dict[str, object] | None = facts["fixes"]  # type: ignore[assignment]
    if fixes:
        lines.append(("fixes", f"{fixes['path']}   {fixes['told']}"))
    if provenance:
        rate = provenance.get("images_per_second")
        lines.append(
            (
                "made",
                f"{provenance.get('written')} on {provenance.get('device')}" + (f" · {rate} images/s" if rate else ""),
            )
        )
        lines.append(("with", f"{provenance.get('command')}"))
    if facts["columns"]:
        lines.append(("columns", ", ".join(facts["columns"])))  # type: ignore[arg-type]
    gpu = "a GPU" if machine["gpu"] else "no GPU"
    lines.append(
        (
            "machine",
            f"{pluralise(_number(machine, 'threads'), 'thread')} · {gpu} · {size(_number(machine, 'free_bytes'))} free",
        )
    )
    versions: dict[str, str] = machine["versions"]  # type: ignore[assignment]
    lines.append(
        (
            "versions",
            " · ".join(f"{name} {number}" for name, number in versions.items()) + f" · Python {machine['python']}",
        )
    )
    if verbose:
        lines += [("", f"{key}: {value}") for key, value in fingerprint.items()]
    for name, text in lines:
        out.result(f"{name:<9}{text}")
