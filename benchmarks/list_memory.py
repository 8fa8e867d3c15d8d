"""The memory of the process that hands out shards, against the length of the list of photos.

    python benchmarks/list_memory.py [--rows 500000] [--photos-in-a-shard 10000] [--whole]

The list is made up, as `featx list` writes it of a bucket; no photo is read.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from pathlib import Path

AT_ONCE = 50_000


def write_list(path: Path, rows: int) -> None:
    """A list of made-up photos: three of each product, in 80 categories."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [(name, pa.string()) for name in ("path", "id", "label", "product")]
    schema = pa.schema([*columns, ("bytes", pa.int64())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, AT_ONCE):
            part = range(start, min(start + AT_ONCE, rows))
            names = [f"c{i * 80 // rows:02d}/p{i:08d}.jpg" for i in part]
            paths, labels = [f"s3://shop/photos/{name}" for name in names], [f"c{i * 80 // rows:02d}" for i in part]
            cells = [paths, names, labels, [f"p{i // 3}" for i in part], [1000 + i % 999 for i in part]]
            writer.write_table(pa.table(dict(zip(schema.names, cells, strict=True)), schema=schema))


def memory(kind: str) -> int:
    """VmRSS, the memory of this process now, or VmHWM, the most it had, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) // 1024


def main() -> None:
    """Divide a list into shards, and make each ready to be sent, as the process does that hands them out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--photos-in-a-shard", type=int, default=10_000)
    parser.add_argument("--whole", action="store_true", help="Read the whole list first, as one out of order.")
    asked = parser.parse_args()

    from featx.catalogue.reading import read_catalogue, read_in_parts
    from featx.extraction.options import ExtractionOptions
    from featx.extraction.shard_task import Task
    from featx.extraction.shards import Parts, missing_shards

    with tempfile.TemporaryDirectory() as place:
        write_list(Path(place) / "photos.parquet", asked.rows)
        before, begun = memory("VmRSS"), time.process_time()
        read = (read_catalogue if asked.whole else read_in_parts)(Path(place) / "photos.parquet")
        looked = time.process_time() - begun
        parts, options = Parts(read, -(-asked.rows // asked.photos_in_a_shard)), ExtractionOptions(backbone="colour")
        sent = 0
        for shard in missing_shards(parts, Path(place) / "shop.h5", options):
            task = Task.of(shard, parts[shard], options, Path(place) / "shop.h5", asked.rows, "")
            sent = max(sent, len(pickle.dumps(task)))
        facts = {"rows": asked.rows, "read_cpu_s": round(looked, 1), "cpu_s": round(time.process_time() - begun, 1)}
        facts |= {"before_mb": before, "peak_mb": memory("VmHWM"), "task_mb": round(sent / 1e6, 1)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
