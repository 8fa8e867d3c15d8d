"""A whole run, and every section's numbers computed again from the features, the labels and the answers alone."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

from featx.comparison import compare
from featx.extraction import extract
from featx.reporting import read_document, write_report
from featx.reporting.formatting import NUMBER_FORMATS, value_at
from tests.conftest import photo
from tests.reporting.documents import Numbers

# Without the files of the figures, which are for other documents.
TOLD = ("html", "md", "json")
NEAR = {"abs": 2e-4}


@pytest.fixture(scope="module", params=["svm,knn", pytest.param("svm,logreg,knn", marks=pytest.mark.long)])
def run(tmp_path_factory, request):
    """Four categories, ten products of two photos each; the last three products of each are held out."""
    root = tmp_path_factory.mktemp("whole")
    lines = ["path,label,product,split"]
    for c, category in enumerate(["boots", "hats", "mugs", "vases"]):
        for product in range(10):
            for shot in range(2):
                name = f"{category}{product}-{shot}.jpg"
                # Half of the products of a category share their colour with another category's.
                colour = 100 * (c if product % 2 else c // 2) + product % 4 + 1000 * shot * (product == 9)
                photo(root / name, seed=colour, noise=20 * c + 2 * product + shot)
                lines.append(f"{name},{category},{category}{product},{'test' if product > 6 else 'train'}")
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    stores = [extract(root / "list.csv", backbone=name, store=root / f"{name}.h5") for name in ("builtin", "colour")]
    compared = compare(stores, request.param, folds=3, curve=True, command=["featx", "compare", "--folds", "3"])
    best = next(
        s for s, entry in zip(stores, compared.document.stores, strict=True) if entry.name == compared.best.store
    )
    written = write_report(
        compared.to_dict(), best, root=root / "reports", price_per_hour=2.0, audit=True, formats=TOLD
    )
    return compared.to_dict(), best, written


@pytest.fixture(scope="module")
def document(run):
    return read_document(run[2].folder).to_dict()


@pytest.fixture(scope="module")
def answers(run):
    comparison = run[0]
    details = comparison["details"][f"{comparison['best']['store']}/{comparison['best']['clf']}"]
    names = np.array(details["classes"])
    return names[details["truth"]], names[details["says"]], np.array(details["confidence"]), details["ids"]


def test_the_comparison_made_up_for_other_tests_has_the_shape_of_a_real_one(run):
    """Else the report would be tested on what no command ever writes."""
    from tests.reporting.documents import catalogue, comparison

    def shape(value: object, path: str, paths: set[str]) -> set[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                shape(inner, f"{path}.{key}", paths)
        elif isinstance(value, list) and value:
            shape(value[0], f"{path}[]", paths)
        else:
            paths.add(path)
        return paths

    made_up = comparison(catalogue(run[2].folder / "made-up", ["a", "b", "c"], 6), clfs=("svm", "knn"))
    made_up["details"] = {"one": made_up["details"]["builtin/svm"]}
    made_up["retrieval"] = {"one": made_up["retrieval"]["builtin"]}
    made_up["machine"] = run[0]["machine"]
    made_up["stores"][0]["fingerprint"] = run[0]["stores"][0]["fingerprint"]
    made_up["entries"][0]["settings"] = run[0]["entries"][0]["settings"]
    real = dict(run[0])
    real["details"] = {"one": next(iter(real["details"].values()))}
    real["retrieval"] = {"one": real["retrieval"][real["best"]["store"]]}
    known = shape(real, "", set())
    # Where the one has nothing or a plain value, the other may have something, and the other way round.
    strange = {
        path
        for path in shape(made_up, "", set())
        if not any(path.startswith(other) or other.startswith(path) for other in known)
    }
    assert strange == set()


def test_the_answers_are_of_the_held_out_photos_with_their_true_labels(run, answers):
    _, store, _ = run
    truth, _, _, ids = answers
    held = {store.ids[i]: store.labels[i] for i in range(len(store)) if store.splits[i] == "test"}
    assert dict(zip(ids, truth, strict=True)) == held


def test_every_number_on_the_page_is_the_jsons_in_every_section(run, document):
    reader = Numbers()
    reader.feed(run[2].page.read_text(encoding="utf-8"))
    sections = {attributes["data-path"].split("/")[1] for attributes, _ in reader.found}
    assert sections >= {"which", "honest", "fails", "trust", "data", "similar", "map", "made", "about"}
    for attributes, shown in reader.found:
        value = value_at(document, attributes["data-path"])
        assert float(attributes["value"]) == value
        assert shown == NUMBER_FORMATS[attributes["data-format"]](value)


def test_the_recommended_entry_is_the_best_that_is_no_baseline(run, document):
    rows = document["which"]["rows"]
    serious = [row for row in rows if not row["baseline"]]
    best = next(row for row in rows if row["best"])
    top = max(row["accuracy"]["value"] for row in serious)
    assert best["accuracy"]["value"] == top or [best["store"], best["clf"]] in document["which"]["ties"] or best["tied"]
    for row in serious:
        beaten = any(
            other["accuracy"]["value"] >= row["accuracy"]["value"]
            and other["images_per_second"] >= row["images_per_second"]
            and other["bytes"] <= row["bytes"]
            and other != row
            for other in rows
            if other["images_per_second"] and other["bytes"] is not None
        )
        assert row["unbeaten"] == (not beaten)
    assert document["which"]["tests_on"] == "test"
    assert len(document["which"]["tests"]) == len(run[0]["held_out_tests"])


def test_differences_are_those_of_the_scores_in_the_table(document):
    scores = {(row["store"], row["clf"]): row["accuracy"]["value"] for row in document["which"]["rows"]}
    for test in document["which"]["tests"]:
        assert test["difference"] == pytest.approx(scores[tuple(test["a"])] - scores[tuple(test["b"])], **NEAR)


def test_scores_are_those_of_scikit_learn(document, answers):
    truth, says, _, _ = answers
    scores = {row["metric"]: row["value"] for row in document["honest"]["test"]}
    labels = sorted(set(truth) | set(says))
    expected = {
        "accuracy": accuracy_score(truth, says),
        "balanced_accuracy": balanced_accuracy_score(truth, says),
        "macro_f1": f1_score(truth, says, labels=labels, average="macro", zero_division=0),
        "weighted_f1": f1_score(truth, says, average="weighted", zero_division=0),
        "macro_precision": precision_score(truth, says, labels=labels, average="macro", zero_division=0),
        "macro_recall": recall_score(truth, says, labels=labels, average="macro", zero_division=0),
    }
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, **NEAR), name


def test_cost_follows_from_pace_and_price(run, document):
    comparison = run[0]
    for row in document["which"]["rows"]:
        store = next((candidate for candidate in comparison["stores"] if candidate["name"] == row["store"]), {})
        entry = next(
            candidate
            for candidate in comparison["entries"]
            if (candidate["store"], candidate["clf"]) == (row["store"], row["clf"])
        )
        if store.get("images_per_second"):
            each = 1 / store["images_per_second"] + entry["predict_seconds"]
            assert row["hours_per_million"] == pytest.approx(1e6 * each / 3600)
            assert row["cost_per_million"] == pytest.approx(2.0 * 1e6 * each / 3600)
            assert row["images_per_second"] == pytest.approx(1 / each)
        assert (row["fit_seconds"], row["bytes"]) == (entry["fit_seconds"], entry["bytes"])


def test_confusions_and_categories_are_those_of_scikit_learn(run, document, answers):
    truth, says, _, ids = answers
    fails = document["fails"]
    names = fails["confusion"]["classes"]
    matrix = np.zeros((len(names), len(names)), dtype=int)
    for i, j, n in fails["confusion"]["cells"]:
        matrix[i, j] = n
    assert np.array_equal(matrix, confusion_matrix(truth, says, labels=names))
    assert fails["confusion"]["mistakes"] == int((truth != says).sum())
    parts = precision_recall_fscore_support(truth, says, labels=names, zero_division=0)
    for row in fails["per_class"]:
        i = names.index(row["label"])
        assert row["n"] == int((truth == row["label"]).sum())
        assert row["photos"] == 20
        for key, values in zip(("precision", "recall", "f1"), parts, strict=False):
            assert row[key] == pytest.approx(values[i], **NEAR)
    answered, true = dict(zip(ids, says, strict=True)), dict(zip(ids, truth, strict=True))
    for pair in fails["pairs"]:
        assert pair["n"] == int(((truth == pair["truth"]) & (says == pair["says"])).sum())
        for example in pair["examples"]:
            assert (true[example["id"]], answered[example["id"]]) == (pair["truth"], pair["says"])
        for example in pair["typical"]:
            assert true[example["id"]] == answered[example["id"]] == example["label"]


def test_reliability_and_coverage_are_counted_from_the_answers(document, answers):
    truth, says, sure, _ = answers
    right = truth == says
    trust = document["trust"]
    assert trust["accuracy"] == pytest.approx(right.mean())
    assert trust["confidence"] == pytest.approx(sure.mean())
    assert sum(row["n"] for row in trust["reliability"]) == len(sure)
    gap = 0.0
    for row in trust["reliability"]:
        inside = (sure > row["low"]) & (sure <= row["high"])
        assert row["n"] == int(inside.sum())
        assert row["accuracy"] == pytest.approx(right[inside].mean(), **NEAR)
        assert row["confidence"] == pytest.approx(sure[inside].mean(), **NEAR)
        gap += abs(right[inside].mean() - sure[inside].mean()) * inside.mean()
    assert trust["ece"]["value"] == pytest.approx(gap, abs=1e-3)
    for row in [*trust["coverage"], *(row for row in trust["thresholds"] if row["threshold"] is not None)]:
        filed = sure >= row["threshold"]
        assert row["coverage"] == pytest.approx(filed.mean())
        assert row["precision"] == pytest.approx(right[filed].mean())


def test_retrieval_is_what_looking_everything_up_one_by_one_gives(run, document):
    _, store, _ = run
    unit = store.features / np.linalg.norm(store.features, axis=1, keepdims=True)
    labels, products = np.array(store.labels), np.array(store.products)
    first, averages, by_label = [], [], {}
    for i in range(len(store)):
        alike = np.round(unit[i] @ unit.T, 6)
        order = [
            k for k in sorted(range(len(store)), key=lambda k: (-alike[k], store.ids[k])) if products[k] != products[i]
        ]
        hits = labels[order] == labels[i]
        first.append(bool(hits[0]))
        places = np.flatnonzero(hits)
        averages.append(np.mean([(k + 1) / (rank + 1) for k, rank in enumerate(places)]))
        by_label.setdefault(labels[i], []).append(hits[0])
    measured = document["similar"]["measured"]
    assert measured["recall_at_1"]["value"] == pytest.approx(np.mean(first), **NEAR)
    assert measured["map"]["value"] == pytest.approx(np.mean(averages), abs=1e-3)
    for category in measured["categories"]:
        assert category["recall_at_1"] == pytest.approx(np.mean(by_label[category["label"]]), **NEAR)


def test_the_map_holds_every_photo_and_its_neighbours_are_counted_right(run, document):
    _, store, _ = run
    drawn = document["map"]
    points = np.frombuffer(base64.b64decode(drawn["points"]), dtype="<u2").reshape(-1, 4).astype(int)
    assert len(points) == drawn["n"] == len(store)
    assert [drawn["classes"][c] for c in points[:, 2]] == list(store.labels)
    assert drawn["ids"] == list(store.ids)
    assert len({(x, y) for x, y in points[:, :2].tolist()}) == len(store) == 80
    far = ((points[:, None, :2] - points[None, :, :2]) ** 2).sum(axis=2).astype(float)
    np.fill_diagonal(far, np.inf)
    nearest = far == far.min(axis=1, keepdims=True)
    same = points[:, None, 2] == points[None, :, 2]
    assert drawn["same_category"] == pytest.approx(np.mean((nearest & same).sum(axis=1) / nearest.sum(axis=1)))


def test_what_was_done_and_on_what_is_told(run, document):
    comparison, _, _ = run
    made = document["made"]
    assert made["commands"][-1] == "featx compare --folds 3"
    assert made["seconds"] == comparison["seconds"]
    assert made["peak_memory"] is None or made["peak_memory"] > 50_000_000
    assert made["machine"]["processor"]
    assert {store["backbone"] for store in made["stores"]} == {"builtin", "colour"}
    assert all(store["fingerprint"]["backbone"] == store["backbone"] for store in made["stores"])
    assert json.loads((run[2].folder / "report.json").read_text(encoding="utf-8")) == document


def test_what_was_found_in_the_data_is_in_the_tables_beside_the_page(run, document):
    folder = run[2].folder
    for name, key in (("suspected", "issues"), ("duplicates", "duplicates")):
        if document["data"][key] is None:
            continue
        lines = (folder / f"{name}.csv").read_text(encoding="utf-8-sig").splitlines()[1:]
        expected = document["data"][key]["n"]
        if key == "duplicates":
            assert len({line.split(",")[0] for line in lines}) == expected
        else:
            assert len(lines) == expected
