"""`featx list`: photos of folders, archives and buckets in one table, which `extract` reads."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featx.catalogue.listing import list_photos
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import extract
from featx.images import UnreadablePhoto, mark_of, objects, read_bytes
from tests.conftest import command_environment, photo

pytest.importorskip("pyarrow", reason="pyarrow is not installed")


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("shots")
    names = [f"{category}/{category}{i}.jpg" for category in ("hats", "mugs") for i in range(3)]
    return {name: photo(folder / name, seed=number).read_bytes() for number, name in enumerate(names)}


def features_by_digest(source: Path, store: Path) -> dict[str, tuple[str | None, bytes]]:
    made = extract(source, backbone="colour", store=store)
    return {row.digest: (row.label, made.features[i].tobytes()) for i, row in enumerate(made.known().values())}


@pytest.fixture
def plain(shots: dict[str, bytes], workplace: Path) -> dict[str, tuple[str | None, bytes]]:
    for name, data in shots.items():
        path = workplace / "plain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return features_by_digest(workplace / "plain", workplace / "plain.h5")


def test_a_folder_is_listed_once_and_read_from_the_table(workplace: Path, plain: dict) -> None:
    listed = list_photos("plain", workplace / "photos.parquet")
    assert listed.n == 6
    assert features_by_digest(listed.table, workplace / "a.h5") == plain
    assert [item.item_id for item in read_catalogue(listed.table).items][:2] == ["hats0", "hats1"]


def test_a_tar_of_samples_is_read_in_place(workplace: Path, plain: dict, shots: dict[str, bytes]) -> None:
    with tarfile.open("train-000.tar", "w") as tar:
        for number, (name, data) in enumerate(shots.items()):
            parts = {"jpg": data, "cls": name.split("/")[0].encode(), "json": json.dumps({"price": number}).encode()}
            for ending, content in parts.items():
                entry = tarfile.TarInfo(f"{number:04d}.{ending}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    listed = list_photos("train-000.tar", workplace / "photos.parquet")
    items = read_catalogue(listed.table).items
    assert items[0].path.endswith("/train-000.tar!/0000.jpg") and items[2].extra["price"] == 2
    assert features_by_digest(listed.table, workplace / "a.h5") == plain
    with pytest.raises(UnreadablePhoto, match="the archive has no such file"):
        read_bytes("train-000.tar!/nothing.jpg")
    os.truncate("train-000.tar", Path("train-000.tar").stat().st_size // 2)
    with pytest.raises(UnreadablePhoto):
        read_bytes("train-000.tar!/0005.jpg")
    assert mark_of("gone.tar!/0005.jpg") is None


@pytest.mark.parametrize("layout", ["bytes", "datasets"])
def test_a_parquet_file_with_photos_inside_is_read_in_place(
    workplace: Path, plain: dict, shots: dict[str, bytes], layout: str
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    cells = list(shots.values()) if layout == "bytes" else [{"bytes": data, "path": "x.jpg"} for data in shots.values()]
    table = pa.table({"image": cells, "label": [0, 0, 0, 1, 1, 1], "title": list(shots)})
    features = {"label": {"names": ["hats", "mugs"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, "train.parquet", row_group_size=4)
    listed = list_photos("train.parquet", workplace / "photos.parquet")
    assert features_by_digest(listed.table, workplace / "a.h5") == plain
    assert read_catalogue(listed.table).items[4].extra["title"] == "mugs/mugs1.jpg"
    for wrong in ("train.parquet!/6", "train.parquet!/x", "gone.parquet!/0"):
        with pytest.raises(UnreadablePhoto):
            read_bytes(wrong)


def test_a_table_may_not_send_featx_to_web_servers_or_out_of_its_folder(workplace: Path) -> None:
    for cell in ("http://127.0.0.1:9/a.jpg", "https://example.com/a.jpg", "../x.tar!/a.jpg"):
        (workplace / "list.csv").write_text(f"path\n{cell}\n")
        with pytest.raises(FeatxError) as error:
            read_catalogue("list.csv")
        assert error.value.code == "path-escapes"


@pytest.fixture(scope="module")
def bucket(shots: dict[str, bytes]) -> Iterator[str]:
    """A bucket of an S3 on this machine."""
    pytest.importorskip("moto", reason="moto is not installed")
    obstore = pytest.importorskip("obstore", reason="obstore is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=command_environment({}),
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    variables = {"AWS_ENDPOINT": address, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "open",
                 "AWS_SECRET_ACCESS_KEY": "sesame", "AWS_REGION": "us-east-1"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        made = urllib.request.Request(f"{address}/shop", method="PUT")
        for _ in range(600):
            try:
                urllib.request.urlopen(made).close()
                break
            except OSError:
                time.sleep(0.1)
        store = obstore.store.from_url("s3://shop", client_options={"allow_http": True})
        for name, data in shots.items():
            obstore.put(store, f"spring/{name}", data)
        obstore.put(store, "spring/hats/notes.txt", b"no photo")
        yield "s3://shop/spring"
    server.kill()
    server.wait()


def test_a_bucket_is_listed_and_its_photos_read_as_files_are(bucket: str, workplace: Path, plain: dict) -> None:
    listed = list_photos(bucket, workplace / "photos.parquet")
    assert listed.n == 6
    assert features_by_digest(listed.table, workplace / "a.h5") == plain
    with pytest.raises(UnreadablePhoto, match="no such object"):
        read_bytes(f"{bucket}/hats/gone.jpg")
    assert mark_of(f"{bucket}/hats/gone.jpg") is None
    size, _ = mark_of(f"{bucket}/hats/hats0.jpg")
    assert size == len(read_bytes(f"{bucket}/hats/hats0.jpg"))


class Counted:
    """A bucket that counts what it is asked for."""

    def __init__(self, bucket: Any, asked: Counter[str]) -> None:
        self._bucket, self._asked = bucket, asked

    def __getattr__(self, name: str) -> Any:
        self._asked[name] += 1
        return getattr(self._bucket, name)


def test_a_new_photo_in_a_bucket_takes_one_request_since_every_one_is_billed(
    bucket: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, asked, real = list_photos(bucket, workplace / "photos.parquet"), Counter[str](), objects._bucket
    monkeypatch.setattr(objects, "_bucket", lambda root: Counted(real(root), asked))
    extract(listed.table, store=workplace / "a.h5", backbone="colour")
    assert asked == {"get": listed.n}
    asked.clear()
    extract(listed.table, store=workplace / "a.h5", backbone="colour")
    assert asked["head"] >= listed.n, "one that is known is asked for its size and time first"


def test_a_bucket_that_does_not_exist_is_a_sentence_without_credentials(bucket: str, workplace: Path) -> None:
    with pytest.raises(FeatxError, match="cannot list `s3://nobody/spring`") as error:
        list_photos("s3://nobody/spring", workplace / "photos.parquet")
    assert error.value.code == "no-server" and "sesame" not in f"{error.value.message} {error.value.hint}"
    assert not (workplace / "photos.parquet").exists()
