"""The sample catalogue on disk: photos in folders, a few planted faults, and the manifest with the truth."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from PIL import Image

from featx.samples.product_shapes import DRAW
from featx.samples.products import CATEGORIES, FIRST_NUMBER, Product, product, shot
from featx.samples.scene import photograph, transparent

PRODUCTS = 8 * len(CATEGORIES)
SHOTS = 3
SIZE = 200
QUALITY = 85
SMALLEST, LARGEST = 16, 2048
MANIFEST = "products.csv"

README = """# The sample catalogue

{photos} photos of {products} made-up products in {categories} categories, drawn by featx itself (`featx demo`):
nothing in them is a real product or somebody's photo. `train/` and `test/` hold one folder a category; no product is
in both.

`sku123.jpg` is a product's clean photo for the shop's page, `sku123-2.jpg` and so on are further shots of it.
`{manifest}` tells the truth about each photo: product (`sku`), category, the folder it lies in (`folder`), colour,
price, stock and so on. Column `fault` names what was planted on purpose, `copy_of` the photo a copy was made from:

| fault | what it is |
|---|---|
| wrong-label | lies in another category's folder |
| near-duplicate | the same photo again under another number, saved again or cropped a little |
| exact-copy | the same bytes again under another number |
| leak | a photo of `train/` again, cropped, in `test/` |
| truncated | the file ends too early |
| rotated | a phone photo: the pixels lie on their side and the EXIF orientation says so |
| transparent | a cut-out PNG |
| cmyk | a JPEG in the colours of a printing press |

The same seed draws the same photos again: `featx demo --no-run` writes this folder as `featx-demo/data`.
"""


@dataclass(frozen=True)
class Row:
    """The facts about one photo; a line of the manifest."""

    image: str
    sku: str
    category: str
    folder: str
    split: str
    shot: int
    title: str
    colour: str
    second_colour: str
    pattern: str
    material: str
    shape: str
    background: str
    price: float
    stock: int
    fault: str = ""
    copy_of: str = ""


def draw_photo(item: Product, number: int = 1, *, size: int = SIZE, seed: int = 0) -> Image.Image:
    """One photo of a product, numbered from 1."""
    view, random = shot(item, number, seed)
    return photograph(DRAW[item.category](item.look, _fineness(size)), view, size, random)


def _fineness(size: int) -> int:
    return int(min(84, max(22, 0.32 * size)))


def write_catalogue(
    folder: str | Path,
    *,
    products: int = PRODUCTS,
    shots: int = SHOTS,
    size: int = SIZE,
    seed: int = 0,
    faults: bool = True,
    progress: Callable[[int], None] | None = None,
) -> list[Row]:
    """Draw the sample catalogue into a folder, and return the lines of its manifest.

    `progress` is called with the number of photos written.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    _forget_earlier(root)
    rows: list[Row] = []
    for row, data in _photos(products, shots, size, seed, faults):
        path = root / row.image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows.append(row)
        if progress is not None:
            progress(len(rows))
    with (root / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        names = [field.name for field in fields(Row)]
        table.writerow(names)
        table.writerows([getattr(row, name) for name in names] for row in rows)
    text = README.format(photos=len(rows), products=products, categories=len(CATEGORIES), manifest=MANIFEST)
    (root / "README.md").write_text(text, encoding="utf-8")
    return rows


def _photos(products: int, shots: int, size: int, seed: int, faults: bool) -> Iterator[tuple[Row, bytes]]:
    planted = _planted(products, shots) if faults else {}
    copies: list[tuple[str, Row, bytes]] = []
    for position in range(products):
        item = product(position, seed)
        for number in range(1, shots + 1):
            fault = planted.get((position, number), "")
            row, data = _photo(item, number, fault, size, seed)
            if fault in _COPIES:
                copies.append((fault, row, data))
                row = _with(row, fault="")
            yield row, data
    for extra, (fault, row, data) in enumerate(copies):
        yield _copy(fault, row, data, f"sku{FIRST_NUMBER + products + extra}", size)


def _forget_earlier(root: Path) -> None:
    """Remove the photos of an earlier manifest, so that all photos in the folder are in the new one."""
    if not (root / MANIFEST).is_file():
        return
    with (root / MANIFEST).open(encoding="utf-8", errors="replace", newline="") as file:
        names = [str(line.get("image")) for line in csv.DictReader(file)]
    for name in names:
        # The manifest may have been edited; remove only names that featx could have drawn.
        if re.fullmatch(r"(train|test)/[a-z]+/sku\d+(-\d+)?\.(jpg|png)", name):
            (root / name).unlink(missing_ok=True)


_COPIES = ("near-duplicate", "near-duplicate-cropped", "exact-copy", "leak")
# (round of categories, category, shot, fault); never sku123.
_FAULTS = (
    (0, "mugs", 3, "wrong-label"),
    (0, "shoes", 1, "near-duplicate"),
    (0, "vases", 2, "near-duplicate-cropped"),
    (0, "lamps", 1, "exact-copy"),
    (0, "clocks", 2, "leak"),
    (0, "hats", 3, "truncated"),
    (0, "chairs", 2, "rotated"),
    (0, "bottles", 3, "transparent"),
    (0, "handbags", 2, "cmyk"),
)


def _planted(products: int, shots: int) -> dict[tuple[int, int], str]:
    faults = {
        (turn * len(CATEGORIES) + CATEGORIES.index(category), min(number, shots)): fault
        for turn, category, number, fault in _FAULTS
    }
    return {shot: fault for shot, fault in faults.items() if shot[0] < products}


def _photo(item: Product, number: int, fault: str, size: int, seed: int) -> tuple[Row, bytes]:
    view, _ = shot(item, number, seed)
    name = item.sku if number == 1 else f"{item.sku}-{number}"
    suffix, background = ".jpg", view.background
    folder = "bowls" if fault == "wrong-label" else item.category
    if fault == "transparent":
        suffix, background = ".png", "none"
        picture = transparent(DRAW[item.category](item.look, _fineness(size)), view, size)
        data = _saved(picture, "PNG")
    else:
        picture = draw_photo(item, number, size=size, seed=seed)
        if fault == "rotated":
            data = _phone_photo(picture)
        elif fault == "cmyk":
            data = _saved(picture.convert("CMYK"), "JPEG")
        else:
            data = _saved(picture, "JPEG")
            data = data[: len(data) * 55 // 100] if fault == "truncated" else data
    row = Row(
        image=f"{item.split}/{folder}/{name}{suffix}",
        sku=item.sku,
        category=item.category,
        folder=folder,
        split=item.split,
        shot=number,
        title=item.title,
        colour=item.colour,
        second_colour=item.second_colour,
        pattern=item.pattern,
        material=item.material,
        shape=item.look.style,
        background=background,
        price=item.price,
        stock=item.stock,
        fault=fault,
    )
    return row, data


def _with(row: Row, **changes: str | int) -> Row:
    return replace(row, **changes)  # type: ignore[arg-type]


def _copy(fault: str, row: Row, data: bytes, sku: str, size: int) -> tuple[Row, bytes]:
    split = "test" if fault == "leak" else row.split
    if fault != "exact-copy":
        with Image.open(io.BytesIO(data)) as file:
            picture = file.convert("RGB")
        if fault != "near-duplicate":
            edge = max(1, size // 40)
            picture = picture.crop((edge, edge, size - edge // 2, size - edge))
        data = _saved(picture, "JPEG", quality=60)
    changed = _with(
        row,
        image=f"{split}/{row.folder}/{sku}.jpg",
        sku=sku,
        split=split,
        shot=1,
        fault=fault.removesuffix("-cropped"),
        copy_of=row.image,
    )
    return changed, data


def _saved(picture: Image.Image, kind: str, *, quality: int = QUALITY, exif: Image.Exif | None = None) -> bytes:
    file = io.BytesIO()
    if kind == "PNG":
        picture.save(file, kind, optimize=True)
    elif exif is not None:
        picture.save(file, kind, quality=quality, exif=exif)
    else:
        picture.save(file, kind, quality=quality)
    return file.getvalue()


def _phone_photo(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    exif[0x010F] = "Made-up Phones"
    return _saved(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def contact_sheet(rows: list[Row], folder: str | Path, *, columns: int = 14, cell: int = 96) -> Image.Image:
    """Several photos of each category side by side, a category a row."""
    root = Path(folder)
    per: dict[str, list[Row]] = {}
    for row in rows:
        if not row.fault:
            per.setdefault(row.category, []).append(row)
    sheet = Image.new("RGB", (columns * cell, len(per) * cell), "white")
    for y, category in enumerate(sorted(per)):
        for x, row in enumerate(per[category][:columns]):
            with Image.open(root / row.image) as file:
                small = file.convert("RGB").resize((cell - 2, cell - 2), Image.Resampling.LANCZOS)
            sheet.paste(small, (x * cell + 1, y * cell + 1))
    return sheet
