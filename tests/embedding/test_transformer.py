"""What the scikit-learn step promises: the features of these photos, in this order, and nothing else."""

from __future__ import annotations

import io
import pickle
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import check_estimator

from featx.backbones import Encoder, EncoderSpec, Fingerprint
from featx.embedding import transformer
from featx.embedding.transformer import ImageEmbedder
from featx.errors import FeatxError
from featx.images import decode_photo
from tests.conftest import photo, toy_fingerprint
from tests.images import odd_images


@dataclass
class MeanColour(Encoder):
    """A backbone one can check by eye: the mean red, green and blue."""

    fingerprint: Fingerprint
    spec = EncoderSpec("mean", 3)
    prepared: int = 0
    batches: list[int] = field(default_factory=list)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, source: Image.Image) -> np.ndarray:
        assert source.mode == "RGB"
        self.prepared += 1
        return np.asarray(source).reshape(-1, 3).mean(axis=0)

    def features(self, batch: list[np.ndarray]) -> np.ndarray:
        assert self.busy.acquire(blocking=False), "called from two threads at once"
        try:
            self.batches.append(len(batch))
            return np.stack(batch).astype(np.float32)
        finally:
            self.busy.release()


@pytest.fixture
def backbone(monkeypatch):
    made = MeanColour(toy_fingerprint(3, backbone="mean"))
    made.opened = []

    def load(name: str, weights: str | None, layer: str | None, device: str) -> MeanColour:
        made.opened.append((name, weights, layer, device))
        return made

    transformer.open_once.cache_clear()
    monkeypatch.setattr(transformer, "open_encoder", load)
    yield made
    transformer.open_once.cache_clear()


@pytest.fixture
def shop(tmp_path):
    paths, labels = [], []
    for number in range(24):
        red = number % 2 == 0
        colour = (200 + number, 10, 10) if red else (10, 10, 200 + number)
        paths.append(str(tmp_path / f"{number}.png"))
        labels.append("red" if red else "blue")
        Image.new("RGB", (8, 6), colour).save(paths[-1])
    return paths, labels


def test_each_row_belongs_to_the_photo_at_its_place(backbone, shop):
    paths, _ = shop
    rows = ImageEmbedder(batch_size=5).transform(paths)
    assert rows.dtype == np.float32 and rows.shape == (24, 3)
    expected = [np.asarray(Image.open(path)).reshape(-1, 3).mean(axis=0) for path in paths]
    assert np.array_equal(rows, np.array(expected, dtype=np.float32))
    assert backbone.batches == [5, 5, 5, 5, 5]


def test_its_features_are_those_of_extract_to_the_last_digit_however_many_photos_there_are(tmp_path, monkeypatch):
    import featx

    monkeypatch.chdir(tmp_path)
    paths = [str(photo(tmp_path / "photos" / "x" / f"{i:02}.jpg", seed=i, size=(64, 64))) for i in range(21)]
    stored = featx.extract("photos", backbone="squeezenet1_1", weights="random", store="squeezenet.h5")
    embedder = ImageEmbedder("squeezenet1_1", weights="random")
    assert np.array_equal(embedder.transform(paths), stored.features)
    assert np.array_equal(embedder.transform(paths[4:5]), stored.features[4:5])


def test_paths_pictures_and_arrays_give_the_same_features(backbone, shop):
    paths = shop[0][:4]
    embedder = ImageEmbedder()
    want = embedder.transform(paths)
    pictures = [Image.open(path) for path in paths]
    arrays = [np.asarray(picture) for picture in pictures]
    for photos in (
        tuple(paths),
        np.array(paths),
        np.array(paths, dtype=object).reshape(-1, 1),
        [Path(path) for path in paths],
        pictures,
        arrays,
        np.stack(arrays),
        (path for path in paths),
    ):
        assert np.array_equal(embedder.transform(photos), want)


def test_grey_and_clear_arrays_are_photos_too(backbone):
    grey = np.full((4, 4), 100, np.uint8)
    clear = np.zeros((4, 4, 4), np.uint8)
    rows = ImageEmbedder().transform([grey, grey[:, :, None], clear])
    assert rows.tolist() == [[100] * 3, [100] * 3, [255] * 3]


def test_bytes_and_open_files_are_photos_too(backbone, shop):
    path = Path(shop[0][0])
    with path.open("rb") as file:
        rows = ImageEmbedder().transform([path, path.read_bytes(), file])
    assert (rows == rows[0]).all()


def test_without_a_name_it_is_the_best_backbone_that_needs_no_download(backbone, shop):
    from featx.backbones import choose_backbone

    ImageEmbedder().transform(shop[0][:1])
    assert backbone.opened == [(choose_backbone()[0], None, None, "auto")]


def test_no_photos_give_no_rows(backbone):
    assert ImageEmbedder().transform([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("photos", "words"),
    [
        ("one.jpg", "one photo"),
        (Image.new("RGB", (2, 2)), "one photo"),
        (5, "in a list"),
        ([3.5], "photo 0 is of type float"),
        ([np.zeros((4, 4), float)], "photo 0 is an array of float64"),
        ([np.zeros((4, 4, 7), np.uint8)], r"shape \(4, 4, 7\)"),
        ([np.zeros((0, 4), np.uint8)], "without pixels"),
    ],
)
def test_what_is_no_list_of_photos_is_refused_in_words(backbone, photos, words):
    with pytest.raises(FeatxError, match=words):
        ImageEmbedder().transform(photos)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_a_senseless_batch_size_is_refused(backbone, size):
    with pytest.raises(FeatxError, match="batch_size"):
        ImageEmbedder(batch_size=size).transform([])


def test_an_unreadable_photo_stops_it_by_name(backbone, shop, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(odd_images.HTML)
    with pytest.raises(FeatxError, match=r"bad\.jpg.*HTML") as stopped:
        ImageEmbedder(batch_size=2).transform([*shop[0], str(tmp_path / "bad.jpg"), *shop[0]])
    assert stopped.value.code == "photo-unreadable"
    assert stopped.value.details["reason"] == "not-an-image"
    half = Image.open(io.BytesIO(odd_images.unreadable()["cut.png"][0]))
    with pytest.raises(FeatxError, match="photo 1"):
        ImageEmbedder().transform([shop[0][0], half])


def test_clones_and_parameters_follow_scikit_learn(backbone, shop):
    embedder = ImageEmbedder("mean", weights="default", layer="l", device="cpu", batch_size=3)
    copy = clone(embedder)
    assert copy.get_params() == embedder.get_params()
    assert copy.set_params(batch_size=4).batch_size == 4
    assert copy.fit(shop[0]) is copy
    assert backbone.opened == [("mean", None, "l", "cpu")]
    assert get_tags(embedder).input_tags.string and not get_tags(embedder).requires_fit


def test_a_pipeline_is_cross_validated_on_paths_and_opens_the_backbone_once(backbone, shop):
    paths, labels = shop
    pipeline = make_pipeline(ImageEmbedder(batch_size=4), LogisticRegression())
    assert cross_val_score(pipeline, paths, labels, cv=3).tolist() == [1.0, 1.0, 1.0]
    assert len(backbone.opened) == 1


def test_columns_are_named_after_the_backbone(backbone, shop):
    names = ImageEmbedder("timm:vit-s/16").get_feature_names_out()
    assert names.tolist() == ["timm_vit_s_16_0", "timm_vit_s_16_1", "timm_vit_s_16_2"]
    assert names.dtype == object


def test_a_table_comes_out_when_pandas_is_asked_for(backbone, shop):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"image": shop[0], "price": range(24)})
    out = ImageEmbedder("mean").set_output(transform="pandas").fit_transform(table[["image"]])
    assert list(out.columns) == ["mean_0", "mean_1", "mean_2"]
    mixed = ColumnTransformer([("photo", ImageEmbedder("mean"), ["image"])], remainder="passthrough")
    assert mixed.fit_transform(table).shape == (24, 4)
    with pytest.raises(FeatxError, match="one column"):
        ImageEmbedder("mean").transform(table)


def test_a_column_transformer_gives_it_a_column_of_an_array(backbone, shop):
    table = np.array([[path, "x"] for path in shop[0]], dtype=object)
    mixed = ColumnTransformer([("photo", ImageEmbedder("mean"), [0])])
    assert mixed.fit_transform(table).shape == (24, 3)
    assert mixed.get_feature_names_out().tolist() == ["photo__mean_0", "photo__mean_1", "photo__mean_2"]


def test_pickles_are_small_and_keep_the_fingerprint(backbone, shop):
    fitted = ImageEmbedder("mean").fit(shop[0])
    stored = pickle.dumps(fitted)
    assert len(stored) < 1000
    again = pickle.loads(stored)
    assert again.fingerprint_ == backbone.fingerprint
    assert np.array_equal(again.transform(shop[0]), fitted.transform(shop[0]))


def test_features_of_other_weights_than_fitted_are_refused(backbone, shop):
    fitted = pickle.loads(pickle.dumps(ImageEmbedder("mean").fit(shop[0])))
    transformer.open_once.cache_clear()
    backbone.fingerprint = toy_fingerprint(3, backbone="mean", weights_sha256="other")
    with pytest.raises(FeatxError) as refused:
        fitted.transform(shop[0])
    assert refused.value.code == "other-backbone"
    assert fitted.fit(shop[0]).transform(shop[0]).shape == (24, 3)


def test_a_replaced_weights_file_is_opened_anew(backbone, shop, tmp_path):
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"one")
    embedder = ImageEmbedder("mean", weights=weights)
    embedder.transform(shop[0])
    weights.write_bytes(b"another")
    embedder.transform(shop[0])
    assert len(backbone.opened) == 2


def test_cached_features_are_not_computed_again_even_after_a_rename(backbone, shop, tmp_path):
    paths, _ = shop
    embedder = ImageEmbedder(cache=tmp_path / "cache")
    first = embedder.transform(paths)
    assert backbone.prepared == 24
    Path(paths[3]).rename(tmp_path / "new name.png")
    renamed = [*paths[:3], str(tmp_path / "new name.png"), *paths[4:]]
    assert np.array_equal(clone(embedder).transform(renamed), first)
    assert backbone.prepared == 24
    pictures = [Image.open(path) for path in renamed]
    assert np.array_equal(embedder.transform(pictures), first)
    assert np.array_equal(embedder.transform(pictures), first)
    assert backbone.prepared == 48


def test_a_changed_photo_and_another_backbone_are_computed_anew(backbone, shop, tmp_path):
    paths, _ = shop
    ImageEmbedder(cache=tmp_path / "cache").transform(paths)
    Image.new("RGB", (8, 6), (1, 2, 3)).save(paths[0])
    assert ImageEmbedder(cache=tmp_path / "cache").transform(paths)[0].tolist() == [1, 2, 3]
    assert backbone.prepared == 25
    transformer.open_once.cache_clear()
    backbone.fingerprint = toy_fingerprint(3, backbone="mean", weights_sha256="other")
    ImageEmbedder(cache=tmp_path / "cache").transform(paths)
    assert backbone.prepared == 49


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_cache_file_is_computed_and_written_anew(backbone, shop, tmp_path, damage):
    path = shop[0][:1]
    want = ImageEmbedder(cache=tmp_path / "cache").transform(path)
    (kept,) = (tmp_path / "cache").rglob("*.f32")
    good = kept.read_bytes()
    kept.write_bytes(good[:-1] + bytes([good[-1] ^ 1]) if damage is None else damage)
    assert np.array_equal(ImageEmbedder(cache=tmp_path / "cache").transform(path), want)
    assert kept.read_bytes() == good
    assert not list((tmp_path / "cache").rglob(".writing-*"))


def test_the_same_photo_twice_in_a_cached_call_gives_the_same_row(backbone, shop, tmp_path):
    rows = ImageEmbedder(cache=tmp_path / "cache").transform([shop[0][0]] * 5)
    assert (rows == rows[0]).all()


def test_threads_share_one_backbone_without_calling_it_at_once(backbone, shop):
    embedder = ImageEmbedder(batch_size=2)
    want = embedder.transform(shop[0])
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(np.array_equal(embedder.transform(shop[0]), want)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


class PhotosFromRows(ImageEmbedder):
    """scikit-learn's checks feed tables of numbers and skip anything else: here each row becomes a small photo."""

    def fit(self, X, y=None):
        return super().fit(self._photos(X))

    def transform(self, X):
        return super().transform(self._photos(X))

    def _photos(self, X):
        rows = np.nan_to_num(np.asarray(X, dtype=float)) * 16 + 128
        return list(rows.clip(0, 255).astype(np.uint8)[:, None, :])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = False
        tags.input_tags.string = False
        tags.no_validation = True
        return tags


NO_MATRIX = "photos are no matrix, so there is no sparse one to refuse by name"
NOT_FOR_PHOTOS = {"check_estimator_sparse_tag": NO_MATRIX, "check_estimator_sparse_array": NO_MATRIX}
NOT_FOR_PHOTOS["check_estimator_sparse_matrix"] = NO_MATRIX


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_pass(backbone):
    results = check_estimator(PhotosFromRows(), expected_failed_checks=NOT_FOR_PHOTOS, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert len(passed) >= 30
    assert {"check_transformer_general", "check_methods_sample_order_invariance", "check_fit_idempotent"} <= passed


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_that_need_no_table_pass_on_the_embedder_itself(backbone, check):
    check("ImageEmbedder", ImageEmbedder())


def test_photos_with_turns_and_profiles_pass_through_the_photo_reader(backbone, tmp_path):
    stored = odd_images.with_orientation(6, "PNG", odd_images.scene())
    (tmp_path / "turned.png").write_bytes(stored)
    (row,) = ImageEmbedder().transform([tmp_path / "turned.png"])
    assert np.allclose(row, np.asarray(decode_photo(stored)).reshape(-1, 3).mean(axis=0))
