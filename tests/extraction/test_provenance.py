"""What a store remembers of how it was made: commands that are true, and that make it again."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import featx as library
from featx.catalogue.reading import read_catalogue
from featx.extraction import ExtractionOptions
from featx.store import open_store
from tests.conftest import photo


def rows(path):
    store = open_store(path)
    return {
        item_id: (store.paths[i], store.labels[i], store.all_views[i].tobytes()) for i, item_id in enumerate(store.ids)
    }


@pytest.fixture
def notebook(workplace, monkeypatch):
    """Whoever imports featx has a command line of its own."""
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "/tmp/kernel-1234.json"])
    return workplace


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, ""),
        ({"views": 2, "seed": 3, "dtype": "float16"}, "--views 2 --seed 3 --half"),
        ({"batch_size": 4, "workers": 1, "exact_decode": True}, "--exact-decode --batch-size 4 --workers 1"),
    ],
)
def test_from_python_the_store_remembers_the_command_that_does_the_same(featx, notebook, folder, options, flags):
    store = library.extract("photos", backbone="colour", store="a.h5", **options)
    command = str(store.provenance["command"])
    assert command == " ".join(["featx extract photos --backbone colour", *flags.split(), "--store a.h5"])
    made = rows("a.h5")
    Path("a.h5").unlink()
    ran = featx(*shlex.split(command)[1:])
    assert ran.returncode == 0, ran.stderr
    assert rows("a.h5") == made


def test_a_catalogue_read_with_options_is_read_so_by_the_command(featx, notebook):
    photo(notebook / "shop" / "shoes" / "boots" / "a.jpg")
    photo(notebook / "shop" / "shoes" / "clogs" / "b.jpg", seed=1)
    catalogue = read_catalogue("shop", label_from="top", split="train")
    store = library.extract(catalogue, backbone="colour", store="a.h5")
    command = str(store.provenance["command"])
    assert command == "featx extract shop --label-from top --split train --backbone colour --store a.h5"
    made = rows("a.h5")
    assert {label for _, label, _ in made.values()} == {"shoes"}
    Path("a.h5").unlink()
    assert featx(*shlex.split(command)[1:]).returncode == 0
    assert rows("a.h5") == made


def test_a_list_of_paths_is_one_on_stdin(notebook, folder):
    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))]
    store = library.extract(iter(paths), backbone="colour", store="a.h5")
    assert store.provenance["command"] == "featx extract - --backbone colour --store a.h5"


def test_the_command_line_is_remembered_as_it_was_typed(featx, folder, tmp_path):
    words = ["extract", "photos", "-b", "colour", "--seed", "7", "--store", "with space.h5"]
    assert featx(*words).returncode == 0
    assert open_store(tmp_path / "with space.h5").provenance["command"] == shlex.join(["featx", *words])


@pytest.mark.parametrize("way", ["python", "command"])
def test_a_damaged_store_is_made_again_by_the_command_that_info_names(featx, notebook, folder, way):
    table = notebook / "tables" / "shop.csv"
    table.parent.mkdir()
    table.write_text(
        "image,label\n" + "".join(f"../{path.relative_to(notebook)},x\n" for path in folder.rglob("*.jpg"))
    )
    if way == "python":
        catalogue = read_catalogue("tables/shop.csv", allow_outside=True)
        library.extract(catalogue, backbone="colour", views=2, seed=5, dtype="float16", store="a.h5")
    else:
        flags = ("--allow-outside", "-b", "colour", "--views", "2", "--seed", "5", "--half", "--store", "a.h5")
        assert featx("extract", "tables/shop.csv", *flags).returncode == 0
    made = rows("a.h5")
    data = bytearray(Path("a.h5").read_bytes())
    data[data.index(open_store("a.h5").all_views[0].astype(np.float16).tobytes()) + 5] ^= 16
    Path("a.h5").write_bytes(data)
    broken = featx("info", "--check", "--store", "a.h5")
    assert broken.returncode == 5
    command = re.search(r"`(featx extract .*)`", broken.stderr)
    assert command is not None, broken.stderr
    assert featx(*shlex.split(command[1])[1:]).returncode == 0
    assert rows("a.h5") == made


def test_every_option_has_the_flag_of_its_name(featx):
    known = featx("extract", "--help", COLUMNS="200").stdout
    everything = ExtractionOptions(
        "colour", "w", "l", "max", "cpu", "fp32", "torch", True, 2, 2, 2, 1, "float16", True, True, True, True, True
    )
    flags = [word for word in everything.to_flags() if word.startswith("--")]
    assert len(flags) == 19 and [flag for flag in flags if flag not in known] == []


def test_extract_has_the_options_of_its_record_with_the_same_defaults():
    import inspect
    from dataclasses import fields

    given = {name: parameter.default for name, parameter in inspect.signature(library.extract).parameters.items()}
    wanted = {option.name: option.default for option in fields(ExtractionOptions) if option.name != "dry_run"}
    assert {name: default for name, default in given.items() if name not in ("source", "store", "progress")} == wanted
