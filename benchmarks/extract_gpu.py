"""`featx extract` on a CUDA GPU beside the textbook loop, from JPEG files in the page cache, in one run.

    python benchmarks/extract_gpu.py [PHOTOS] [--photos 2048] [--rounds 3] [--install] [--dry-run]

The textbook loop is ImageFolder, a DataLoader with a worker for each core, batches of 32, eager float32; of a joined
backbone, a pass over the photos for each part. --install first makes an environment of its own with featx, timm and
CUDA's torch from the package index. With --dry-run everything runs on the CPU over a few photos: it shows that the
program works and says nothing about a GPU. Networks have random weights, for only the pace is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("FEATX_OFFLINE", "1")

ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ("resnet50", "efficientnet_lite2", "builtin+efficientnet_lite2")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "data" / "train", metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--engines", nargs="+", default=["torch"], help="compile takes half a minute each")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--seconds", type=float, default=240, help="no backbone and no round is begun after so long")
    parser.add_argument("--install", action="store_true", help="into an environment of its own, then run there")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, a few photos: does it run at all?")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def installed_run() -> int:
    """The same command with everything it needs, in an environment that is gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = Path(place) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[timm]"], check=True)
        given = [argument for argument in sys.argv[1:] if argument != "--install"]
        return subprocess.run([python, __file__, *given], check=False).returncode


def contest_of(name: str, folder: Path, paths: list[Path], options: argparse.Namespace, device: str) -> Any:
    """Everyone who takes part with one backbone, and the two limits."""
    from extract_contestants import Contest, decode_only, featx_way, network_only, textbook_way

    workers = int(os.environ["OMP_NUM_THREADS"])
    contest: Contest = {
        f"textbook, {workers} workers": partial(textbook_way, folder, name, workers=workers, device=device)
    }
    for engine in options.engines:
        for precision in options.precisions:
            contest[f"featx {precision} {engine}"] = partial(
                featx_way, folder, name, device=device, engine=engine, precision=precision
            )
    for precision in options.precisions:
        contest[f"limit: network only, {precision}"] = partial(
            network_only, name, paths[0], len(paths), engine=options.engines[-1], device=device, precision=precision
        )
    contest["limit: decoding only"] = partial(decode_only, name, paths, workers=workers, device=device)
    return contest


def decoding_shares(rows: list[dict[str, Any]]) -> str:
    """How much of the time of featx decoding alone takes on the same cores; at 100 % nothing else counts."""
    pace = {row["way"]: row["photos_per_second"] for row in rows}
    limit = pace["limit: decoding only"]
    return ", ".join(f"{way} {100 * rate / limit:.0f} %" for way, rate in pace.items() if way.startswith("featx"))


def measured(name: str, place: Path, paths: list[Path], options: argparse.Namespace, device: str) -> dict[str, Any]:
    """The table of one backbone, printed."""
    import torch
    from extract_contestants import flops_a_photo, interleaved, peak_flops, print_rows, row_of

    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    print(f"\n{name}, opening", flush=True)
    contest = contest_of(name, place, paths, options, device)
    took = interleaved(contest, options.rounds, partial(print, flush=True), until=options.ends)
    base = next((runs for way, runs in took.items() if way.startswith("textbook")), None)
    rows = [row_of(way, runs, base) for way, runs in took.items() if runs]
    print_rows(f"{name}, {len(paths)} photos on {device}", rows)
    print(f"decoding alone would take of the time: {decoding_shares(rows)}")
    flops = flops_a_photo(name)
    roofs = {kind: round(peak_flops(kinds[kind], device) / flops, 1) for kind in options.precisions}
    print("roofline: " + ", ".join(f"{kind} {rate:,.0f}/s" for kind, rate in roofs.items()), flush=True)
    return {"backbone": name, "photos": len(paths), "device": device, "rows": rows, "roofs": roofs}


def main() -> None:
    options = parsed()
    if options.install:
        sys.exit(installed_run())
    import torch
    from extract_cpu import some_of

    from featx.compute.threads import cores

    if not options.dry_run and not torch.cuda.is_available():
        sys.exit("no CUDA GPU here; --dry-run tries the program on the CPU")
    device = "cpu" if options.dry_run else "cuda"
    if options.dry_run:
        options.photos, options.rounds = min(options.photos, 16), 1
        options.engines, options.precisions = ["torch"], options.precisions[:2]
        print("dry run on the CPU: these figures say nothing about a GPU")
    else:
        print(f"{torch.cuda.get_device_name()}, {cores()} cores, torch {torch.__version__}")
    os.environ["OMP_NUM_THREADS"] = str(2 if options.dry_run else cores())
    options.ends = time.monotonic() + options.seconds
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        paths = some_of(options.folder, options.photos, folder)
        for path in paths:
            path.read_bytes()  # into the page cache
        for name in options.backbones:
            if time.monotonic() > options.ends:
                print(f"no time left for {name}")
                continue
            results.append(measured(name, folder, paths, options, device))
            if options.out:
                written = {"dry_run": options.dry_run, "results": results}
                options.out.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
