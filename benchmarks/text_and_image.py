"""Photos, their read text or titles, and both: in grouped folds and on held-out photos, beside two plain baselines.

    python benchmarks/text_and_image.py STORE [--columns text] [--only Packages] [--coarse classes.csv] [--plain]
        [--sentences] [--autogluon PYTHON]

STORE has the columns: its table's, or `text` where `featx read` read its photos. `--only` keeps the photos with this
word in their path. `--plain` adds scikit-learn's TF-IDF with logistic regression, alone and joined with the photo.
`--autogluon` takes the interpreter of an environment with `autogluon.tabular` and `lightgbm`, and adds what AutoGluon
makes of the features and the text in one table, in the same folds and on held-out photos, `--seconds` a training.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from featx.backbones.sentences import open_sentences
from featx.classifiers.columns.learning import learn_texts
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.columns.use import ColumnUse, column_set, columns_record, use_columns
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.selection import choose
from featx.classifiers.spec import ClassifierSettings
from featx.compute.vectors import unit_rows
from featx.labels.folds import Fold
from featx.labels.training_set import TrainingSet, training_set_of
from featx.metrics.significance import sign_flips
from featx.store import Store, open_store

FOLDS = 5


def only(training: TrainingSet, word: str) -> TrainingSet:
    """The photos with a word in their path."""
    paths = training.store.paths
    learn = np.array([word in paths[i] for i in training.learn])
    held = replace(training.held, rows=np.array([i for i in training.held.rows if word in paths[i]], dtype=int))
    return replace(training, learn=training.learn[learn], groups=training.groups[learn], held=held)


def plain(training: TrainingSet, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Answers to held-out photos by scikit-learn: TF-IDF alone, and beside the features of the photos."""
    from scipy.sparse import csr_array, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    store, held = training.store, training.held
    texts = [[str(v or "") for v in columns_of(store, rows, [name])[name]] for rows in (training.learn, held.rows)]
    vectors = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2, strip_accents="unicode"
    )
    learn, score = vectors.fit_transform(texts[0]), vectors.transform(texts[1])
    y = training.labels[training.learn]
    yield "TF-IDF, logistic regression", LogisticRegression(C=10, max_iter=300).fit(learn, y).predict(score)
    photos = [csr_array(unit_rows(store.features[rows])) for rows in (training.learn, held.rows)]
    both = [hstack([photo, text]).tocsr() for photo, text in zip(photos, (learn, score), strict=True)]
    yield "plain concatenation", LogisticRegression(C=10, max_iter=300).fit(both[0], y).predict(both[1])


def autogluon(
    training: TrainingSet, name: str, folds: Sequence[Fold], python: str, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which photos AutoGluon answers correctly: those to learn from in folds, and the held-out ones."""
    store, held, n = training.store, training.held, len(training.learn)
    rows = np.concatenate([training.learn, held.rows])
    labels = np.concatenate([training.labels[training.learn], held.truth]).astype(str)
    parts = np.full((len(folds) + bool(len(held)), len(rows)), 2)
    for part, (learn, score) in zip(parts, folds, strict=False):
        part[learn], part[score] = 0, 1
    if len(held):
        parts[-1] = np.repeat([0, 1], [n, len(held)])
    texts = np.array([str(value or "") for value in columns_of(store, rows, [name])[name]])
    with TemporaryDirectory() as folder:
        task, answers = Path(folder) / "task.npz", Path(folder) / "answers.json"
        photos = unit_rows(store.features[rows])
        np.savez(task, features=photos, texts=texts, labels=labels, folds=parts, seconds=seconds)
        script = Path(__file__).with_name("autogluon_columns.py")
        subprocess.run([python, str(script), str(task), str(answers)], check=True, stdout=subprocess.DEVNULL)
        ran = json.loads(answers.read_text())
    print(f"AutoGluon: {ran['cpu']:.0f} CPU s for {len(parts)} trainings")
    right = np.array(ran["said"]) == labels
    return right[:n], right[n:]


def show_autogluon(
    training: TrainingSet, results: FoldResults, use: ColumnUse, name: str, python: str, seconds: float
) -> None:
    """AutoGluon's answers beside those that featx chose, or why there are none."""
    if not has_autogluon(python):
        print(f"AutoGluon left out: {python} has no autogluon.tabular with lightgbm")
        return
    in_folds, on_held = autogluon(training, name, results.folds, python, seconds)
    scored = training.scored_rows(FOLDS)
    beside(in_folds[scored], use.chosen.right, training.groups[scored], "in folds")
    if use.photos is not None:
        scores = use.photos.scores if use.held_scores is None else use.held_scores
        beside(on_held, use.photos.right(scores), use.photos.groups, "of held-out photos")


def beside(theirs: np.ndarray, ours: np.ndarray, groups: np.ndarray, where: str) -> None:
    """AutoGluon's share of right answers, and the difference to featx."""
    test = sign_flips(ours, theirs, groups)
    print(f"{'AutoGluon':28s} {theirs.mean():6.1%} {where} (featx {test.difference:+.1%}, p = {test.p:.2g})")


def has_autogluon(python: str) -> bool:
    """Whether this interpreter has AutoGluon's tables."""
    try:
        asked = subprocess.run([python, "-c", "import autogluon.tabular, lightgbm"], capture_output=True, check=False)
    except OSError:
        return False
    return asked.returncode == 0


def sentence_speed(texts: Sequence[str]) -> str:
    """How many texts a CPU second become numbers by their meaning."""
    encoder, some = open_sentences(), texts[:500]
    begun = time.process_time()
    encoder.embed(some)
    return f"by meaning: {len(some) / (time.process_time() - begun):,.0f} texts a CPU second"


def speed(store: Store, name: str) -> str:
    """How many texts a second are learned and written as numbers."""
    texts = [value for value in columns_of(store, range(len(store)), [name])[name] if value]
    begun = time.process_time()
    encoder = learn_texts(texts)
    learned = time.process_time() - begun
    encoder.encode(texts)
    written = time.process_time() - begun - learned
    after = len(texts) / max(written, 1e-9)
    return f"{len(texts):,} texts: learned in {learned:.1f} CPU s, then {after:,.0f} written a CPU second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--columns", default="text", help="separated by commas")
    parser.add_argument("--level", help="other categories, as in `featx fit --level`")
    parser.add_argument("--only", default="", help="only photos with this word in their path")
    parser.add_argument("--clf", default="logreg")
    parser.add_argument("--coarse", type=Path, help="a CSV file: category, its number, coarser category")
    parser.add_argument("--sentences", action="store_true", help="texts count by their meaning too")
    parser.add_argument("--autogluon", metavar="PYTHON", default="", help="an interpreter that has AutoGluon")
    parser.add_argument("--seconds", type=float, default=60, help="the time of each of its trainings")
    parser.add_argument("--plain", action="store_true", help="also scikit-learn's baselines, on held-out photos")
    arguments = parser.parse_args()
    names = arguments.columns.split(",")
    store = open_store(arguments.store)
    training = training_set_of(store, arguments.level)
    columns = column_set(
        only(training, arguments.only) if arguments.only else training,
        names,
        arguments.level,
        sentences=arguments.sentences,
    )
    training = replace(columns.training, finer=None)
    n, held_out = len(training.learn), len(training.held)
    print(f"{n:,} photos to learn from, {held_out:,} held out, {len(training.classes)} categories")
    for fact in columns.facts:
        print(f"  {fact.name}: {fact.kind}, {fact.given:.0%} of photos; {fact.named:.0%} name their category")
    print(speed(store, names[0]))
    if arguments.sentences:
        print(sentence_speed([str(value) for value in columns.columns[names[0]] if value]))
    begun = time.process_time()
    results, _ = choose(training, ClassifierSettings(arguments.clf), [arguments.clf], FOLDS)
    print(f"photo alone in {FOLDS} folds: {time.process_time() - begun:.1f} CPU s")
    begun = time.process_time()
    pipeline = train_classifier(results.settings, store.features[training.learn], training.labels[training.learn])
    use = use_columns(columns, results, training.scored_rows(FOLDS), pipeline)
    print(f"columns and the ways of joining them: {time.process_time() - begun:.1f} CPU s")
    for trial in use.trials:
        mark = "  <- chosen" if trial is use.chosen else ""
        print(f"{trial.name:28s} {trial.right.mean():6.1%} in folds{mark}")
    if use.without_names is not None:
        print(f"{'without the names':28s} {use.without_names.right.mean():6.1%} in folds")
    record = columns_record(columns, use)
    for trial in record["tried_on_held_out"]:
        p = "" if trial["p"] is None else f" (p = {trial['p']:.2g})"
        mark = "  <- chosen" if trial["chosen"] else ""
        print(f"{trial['name']:28s} {trial['correct'] / trial['n']:6.1%} of held-out photos{p}{mark}")
    for where in ("cv", "test"):
        print(where, record[where])
    if arguments.coarse and use.photos is not None:
        with arguments.coarse.open(newline="", encoding="utf-8") as file:
            coarse = {row[0]: row[2] for row in csv.reader(file)}
        truth = [coarse[label] for label in training.held.truth]
        answers = {"photo": use.photos.scores} | {name: trial.scores for name, trial in use.held.items()}
        for name, scores in answers.items():
            predicted = [coarse[training.classes[i]] for i in scores.argmax(axis=1)]
            print(f"{name:28s} {np.mean(np.array(predicted) == np.array(truth)):6.1%} coarse, on held-out photos")
    held = training.held
    by_photo = pipeline.predict(held.features) == held.truth
    for name, answers in plain(training, names[0]) if arguments.plain and len(held) else ():
        test = sign_flips(answers == held.truth, by_photo, held.groups)
        print(
            f"{name:28s} {(answers == held.truth).mean():6.1%} of held-out photos ({test.difference:+.1%} to the photo)"
        )
    if arguments.autogluon:
        show_autogluon(training, results, use, names[0], arguments.autogluon, arguments.seconds)


if __name__ == "__main__":
    main()
