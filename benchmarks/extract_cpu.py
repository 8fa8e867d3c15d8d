"""`featx extract` on a CPU beside the loop everybody writes and beside what the machine permits, in one run.

    python benchmarks/extract_cpu.py [PHOTOS] [--photos 128] [--large 32] [--rounds 3] [--backbones resnet50 builtin]

PHOTOS is a folder with a folder for each category (the sample catalogue unless given); --large draws that many
photos of 1,600 pixels. Everyone takes turns, round after round; medians and ratios are printed, --out keeps them
as JSON. Opening or converting a network is timed separately: "set-up" is the first time, with nothing kept, "again" the
median of all rounds, which read the converted network that the first one kept (so ask for 3 rounds or more).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("FEATX_OFFLINE", "1")

import torch
from extract_contestants import (
    TIMM,
    Contest,
    Took,
    decode_only,
    featx_way,
    flops_a_photo,
    interleaved,
    network_only,
    peak_flops,
    peers_missing,
    print_rows,
    row_of,
    textbook_way,
    timm_way,
)
from PIL import Image

from featx.compute.threads import cores

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "train"
BACKBONES = ("resnet50", "mobilenet_v3_large", "squeezenet1_0", "builtin")


def whole(path: Path) -> bool:
    """Whether a photo can be decoded to its end."""
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def some_of(folder: Path, count: int, place: Path) -> list[Path]:
    """Links to so many photos, evenly taken from a folder of categories; the textbook loop ends at a broken one."""
    every = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg") and whole(path))
    taken = [every[i * len(every) // count] for i in range(min(count, len(every)))]
    links = []
    for number, path in enumerate(taken):
        link = place / path.parent.name / f"item{number:05d}{path.suffix.lower()}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        links.append(link)
    return links


def draw_large(count: int, place: Path) -> None:
    """Photos of 1,600 pixels, as a shop's own camera gives them."""
    from featx.samples.write import write_catalogue

    write_catalogue(place, products=count, shots=1, size=1600, faults=False)


def engines_here(requested: list[str] | None) -> list[str]:
    """The engines to compare; those that are not installed are left out and named."""
    installed = [name for name in ("torch", "openvino", "onnxruntime") if name == "torch" or find_spec(name)]
    return requested or installed


def contest_for(name: str, folder: Path, options: argparse.Namespace) -> Contest:
    """Everyone who takes part with one backbone."""
    contest: Contest = {
        f"textbook, {workers} workers": partial(textbook_way, folder, name, workers=workers, device="cpu")
        for workers in options.workers
    }
    contest[f"textbook, {max(options.workers)} workers, patient"] = partial(
        textbook_way, folder, name, workers=max(options.workers), device="cpu"
    )
    if name in TIMM and "timm" not in peers_missing():
        contest["timm, its own transforms"] = partial(
            timm_way, folder, name, workers=max(options.workers), device="cpu"
        )
    if name == "builtin":
        contest["featx"] = partial(featx_way, folder, name)
        contest["featx --exact-decode"] = partial(featx_way, folder, name, exact_decode=True)
        for precision in ("fp32", "bf16", "int8"):
            if find_spec("openvino") and (precision != "int8" or find_spec("nncf")):
                contest[f"featx {precision} openvino"] = partial(
                    featx_way, folder, name, engine="openvino", precision=precision
                )
        return contest
    for engine in engines_here(options.engines):
        contest[f"featx fp32 {engine}"] = partial(featx_way, folder, name, engine=engine)
        if engine in ("torch", "openvino"):
            contest[f"featx bf16 {engine}"] = partial(featx_way, folder, name, engine=engine, precision="bf16")
        if engine == "openvino" and find_spec("nncf"):
            contest["featx int8 openvino"] = partial(featx_way, folder, name, engine=engine, precision="int8")
    return contest


def precisions_here(engine: str) -> list[str]:
    """The precisions whose network can be run here."""
    return ["fp32", "bf16", *(["int8"] if engine == "openvino" and find_spec("nncf") else [])]


def limits(name: str, paths: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    """What decoding alone and the network alone reach in each precision, as medians of the rounds."""
    engine = "openvino" if find_spec("openvino") else "torch"
    contest: Contest = {"decoding only": partial(decode_only, name, paths, workers=options.cores, device="cpu")}
    for precision in precisions_here(engine):
        contest[precision] = partial(
            network_only, name, paths[0], len(paths), engine=engine, device="cpu", precision=precision
        )
    took = interleaved(contest, options.rounds, lambda line: None)
    rates = {key: row_of(key, runs, None) for key, runs in took.items()}
    decoding = rates.pop("decoding only")
    return {
        "decoding_only": decoding["photos_per_second"],
        "cpu_ms_decoding": decoding["cpu_ms_per_photo"],
        "networks": {
            precision: {
                "network_only": network["photos_per_second"],
                "cpu_ms_network": network["cpu_ms_per_photo"],
                # The same cores do both, so neither rate alone can be reached.
                "both": round(1 / (1 / network["photos_per_second"] + 1 / decoding["photos_per_second"]), 1),
                "cpu_ms_both": round(network["cpu_ms_per_photo"] + decoding["cpu_ms_per_photo"], 2),
            }
            for precision, network in rates.items()
        },
    }


def measure(name: str, folder: Path, paths: list[Path], what: str, options: argparse.Namespace) -> dict[str, Any]:
    """One backbone over one set of photos."""
    say = (lambda line: print(line, file=sys.stderr, flush=True)) if options.verbose else (lambda line: None)
    took = interleaved(contest_for(name, folder, options), options.rounds, say)
    loops = {way: runs for way, runs in took.items() if way.startswith("textbook")}
    best = max(loops, key=lambda way: row_of(way, loops[way], None)["photos_per_second"])
    base: list[Took] = loops[best]
    rows = [row_of(way, runs, base) for way, runs in took.items()]
    print_rows(f"{name}, {len(paths)} photos, {what} (× the best textbook loop: {best})", rows)
    most = limits(name, paths, options)
    flops = flops_a_photo(name)
    roof = options.peaks["fp32"] / flops
    print(f"limits: decoding only {most['decoding_only']:.0f}/s ({most['cpu_ms_decoding']} CPU ms)")
    for precision, network in most["networks"].items():
        print(
            f"  {precision}: network only {network['network_only']:.0f}/s ({network['cpu_ms_network']} CPU ms), "
            f"both on these cores {network['both']:.0f}/s ({network['cpu_ms_both']} CPU ms)"
        )
    print(f"  roofline at the measured fp32 peak: {roof:.0f}/s", flush=True)
    return {
        "backbone": name, "photos": len(paths), "what": what, "textbook": best, "rows": rows, "limits": most,
        "gflops_a_photo": round(flops / 1e9, 2), "roofline_fp32": round(roof, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLE, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--large", type=int, default=300, help="photos of 1,600 pixels to draw; 0: none")
    parser.add_argument("--large-folder", type=Path, help="a folder of large photos to use instead of drawing them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--large-backbones", nargs="+", default=["builtin"])
    parser.add_argument("--engines", nargs="+", help="torch, compile, openvino, onnxruntime")
    parser.add_argument("--threads", type=int, help="threads for the network; all cores unless given")
    parser.add_argument("--workers", type=int, nargs="+", help="worker counts to try for the textbook loop")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verbose", "-v", action="store_true")
    options = parser.parse_args()
    options.cores = cores()
    threads = options.threads or options.cores
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    options.workers = options.workers or sorted({0, max(1, options.cores // 2), options.cores})
    options.peaks = {
        "fp32": peak_flops(torch.float32, "cpu"), "bf16": peak_flops(torch.bfloat16, "cpu")
    }  # fmt: skip
    print(f"{options.cores} cores, {threads} threads for the network; torch {torch.__version__}")
    print(", ".join(f"peak {kind} {flops / 1e9:.0f} GFLOP/s" for kind, flops in options.peaks.items()))
    if peers_missing():
        print(f"not installed, so not compared: {', '.join(peers_missing())}")
    results = []
    with tempfile.TemporaryDirectory() as place:
        # Converted networks of earlier runs would hide what the first conversion costs.
        os.environ["XDG_CACHE_HOME"] = str(Path(place) / "cache")
        folder = Path(place) / "photos"
        paths = some_of(options.folder, options.photos, folder)
        results += [measure(name, folder, paths, "as they are", options) for name in options.backbones]
        if options.large or options.large_folder:
            drawn = options.large_folder or Path(place) / "drawn"
            if options.large_folder is None:
                draw_large(options.large, drawn)
            large = some_of(drawn, options.large or 10**6, Path(place) / "large")
            results += [
                measure(name, Path(place) / "large", large, "1,600 pixels", options) for name in options.large_backbones
            ]
    if options.out:
        record = {"cores": options.cores, "threads": threads, "peaks": options.peaks, "results": results}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
