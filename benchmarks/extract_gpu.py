"""`featx extract` on a CUDA GPU beside the textbook loop, from JPEG files in the page cache, in one run.

    python benchmarks/extract_gpu.py [PHOTOS] [--photos 4096] [--rounds 3] [--dry-run]

The textbook loop is ImageFolder, a DataLoader with a worker for each core, batches of 32, eager float32. With --dry-run
everything runs on the CPU over a few photos: it shows that the program works and says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("FEATX_OFFLINE", "1")

import torch
from extract_contestants import (
    Contest,
    decode_only,
    featx_way,
    flops_a_photo,
    interleaved,
    network_only,
    peak_flops,
    print_rows,
    row_of,
    textbook_way,
)
from extract_cpu import SAMPLE, some_of

from featx.compute.threads import cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLE, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbones", nargs="+", default=["resnet50"])
    parser.add_argument("--engines", nargs="+", default=["torch", "compile"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "fp16"])
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, a few photos: does it run at all?")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.dry_run and not torch.cuda.is_available():
        sys.exit("no CUDA GPU here; --dry-run tries the program on the CPU")
    device = "cpu" if options.dry_run else "cuda"
    if options.dry_run:
        options.photos, options.rounds = min(options.photos, 16), 1
        options.engines, options.precisions = ["torch"], ["fp32", "bf16"]
        print("dry run on the CPU: these figures say nothing about a GPU")
    else:
        print(torch.cuda.get_device_name())
    os.environ["OMP_NUM_THREADS"] = str(2 if options.dry_run else cores())
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        paths = some_of(options.folder, options.photos, Path(place) / "photos")
        for path in paths:
            path.read_bytes()  # into the page cache
        for name in options.backbones:
            workers = 2 if options.dry_run else cores()
            contest: Contest = {
                f"textbook, {workers} workers": partial(
                    textbook_way, Path(place) / "photos", name, workers=workers, device=device
                )
            }
            for engine in options.engines:
                for precision in options.precisions:
                    contest[f"featx {precision} {engine}"] = partial(
                        featx_way, Path(place) / "photos", name, device=device, engine=engine, precision=precision
                    )
            contest["limit: network only"] = partial(
                network_only, name, paths[0], len(paths), engine=options.engines[-1], device=device
            )
            contest["limit: decoding only"] = partial(decode_only, name, paths, workers=cores(), device=device)
            took = interleaved(contest, options.rounds, lambda said: None)
            rows = [row_of(way, runs, next(iter(took.values()))) for way, runs in took.items()]
            print_rows(f"{name}, {len(paths)} photos on {device}", rows)
            flops = flops_a_photo(name)
            roofs = {kind: round(peak_flops(kinds[kind], device) / flops, 1) for kind in options.precisions}
            print("roofline: " + ", ".join(f"{kind} {rate:,.0f}/s" for kind, rate in roofs.items()))
            results.append({"backbone": name, "photos": len(paths), "device": device, "rows": rows, "roofs": roofs})
    if options.out:
        options.out.write_text(json.dumps({"dry_run": options.dry_run, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
