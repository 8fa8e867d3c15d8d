"""`featx fit`: a category classifier, and the truth about it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from featx.cli.options import JsonFlag, QuietFlag, SeedOption, StoreOption, VerboseFlag
from featx.cli.output import Output, counted, size
from featx.errors import FeatxError


def fit(
    clf: Annotated[str, typer.Option("--clf", help="svm, logreg, rf or knn.")] = "svm",
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the cross-validation.")] = 5,
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", min=0, max=1, help="End with code 7 below this share.")
    ] = None,
    seed: SeedOption = 0,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Train a category classifier and say how good it is.

    Example: featx fit --clf svm
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.classifiers import known_name
    from featx.store import open_store
    from featx.workspace import Workspace

    name = known_name(clf)
    workspace = Workspace.here()
    opened = open_store(workspace.current_store(store))
    backbone = opened.fingerprint.get("backbone")
    out.say(f"{name} on {counted(len(opened), 'embedding')} ({backbone}) · training and {folds} folds …")
    from featx.fitting import fit as train
    from featx.fitting import save

    model = train(opened, name, folds=folds, seed=seed)
    path = workspace.models / f"{name}.skops"
    save(model, path)
    card = model.card
    out.document({key: value for key, value in card.items() if key not in ("labels", "fingerprint")})
    _print(card, out)
    if card["small"]:
        names = ", ".join(f"{label} ({n})" for label, n in list(card["small"].items())[:5])
        few = counted(len(card["small"]), "category has", "categories have")
        out.warn(f"{few} too few products to be cross-validated, and are left out of that score: {names}")
        out.say("  the model still learns them")
    twins = card["checks"][0]
    seen = "in training" if card["test"] else "in the other folds"
    out.say(f"  near-twins: {twins['share']:.0%} of the scored pictures have one {seen} (cosine ≥ 0.95)")
    if twins["level"] == "warning":
        out.warn("FX101: with that many near-twins the score is flattered; trust only a folder from elsewhere")
    weighs, learned = size(card["bytes"]), counted(card["n"], "picture")
    out.ok(f"model saved: {path} ({weighs}), trained on {learned}; card: {path.with_suffix('.md')}")
    out.next("featx similar <image>   ·   featx info")
    reached = (card["test"] or card["cv"])["accuracy"]
    if min_accuracy is not None and reached < min_accuracy:
        raise FeatxError("below-limit", f"{reached:.1%} right is below the limit of {min_accuracy:.1%}", "")


def _print(card: dict[str, Any], out: Output) -> None:
    def share(name: str, told: dict[str, Any] | None) -> None:
        if told is not None:
            low, high = told["ci95"]
            out.result(
                f"{name:<28} {told['accuracy']:6.1%}    ({low:.1%} – {high:.1%})    {counted(told['n'], 'picture')}"
            )

    cv, automation = card["cv"], card["automation"]
    share("right, on held-out pictures", card["test"])
    share("right, in cross-validation", cv)
    out.result(f"{'always the biggest category':<28} {card['baseline']:6.1%}")
    if automation["coverage"] is None:
        where = "held-out pictures" if card["test"] else "pictures"
        said = f"   –      not enough {where} to say ({automation['n']:,} of 300)"
    else:
        sure = "" if automation["threshold"] is None else f" (sure ≥ {automation['threshold']:.2f})"
        said = f"{automation['coverage']:6.0%}    at 98% right{sure}, measured on {automation['measured_on']}"
    out.result(f"{'filed without a person':<28} {said}")
    if card["test"] is None:
        out.result("no held-out folder: pictures from where the model will be used would give a truer score")
    if card["weakest"]:
        out.result("")
        wide = max(len("weakest categories"), *(len(one["label"]) for one in card["weakest"]))
        out.result(f"{'weakest categories':<{wide}}  recall  pictures  usually taken for")
        for one in card["weakest"]:
            misses = f"{one['taken_for']} ({one['times']} of {one['misses']})"
            out.result(f"{one['label']:<{wide}}  {one['recall']:6.0%}  {one['n']:8,}  {misses}")
