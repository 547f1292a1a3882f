"""Small photo-like images, and the same ones written in every format that the trainer reads."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")
TRAIN, VALIDATION = 21, 9


def photo(height, width, seed):
    """[H, W, 3] uint8 with the 1/f spectrum of natural images."""
    rng = np.random.default_rng(seed)
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    distance[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / distance).real for _ in range(3)]
    light, *tints = [(plane - plane.mean()) / plane.std() for plane in planes]
    channels = (light + 0.3 * tints[0], light - 0.1 * tints[0] + 0.1 * tints[1], light - 0.4 * tints[1])
    return np.clip(np.stack(channels, -1) * 50 + 120, 0, 255).astype(np.uint8)


def encoded(pixels, kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return buffer.getvalue()


def small_set():
    """{split: [(file name, bytes, label), …]}: JPEGs of several sizes, with a PNG and a WebP among them, sorted by class and name."""
    kinds = {0: ("PNG", "png"), 1: ("WEBP", "webp")}
    made = {}
    for split, count, first in (("train", TRAIN, 0), ("val", VALIDATION, 1000)):
        made[split] = []
        for index in range(count):
            kind, suffix = kinds.get(index, ("JPEG", "jpg"))
            pixels = photo(40 + index % 5, 56 - index % 7, first + index)
            made[split].append((f"{index:03d}.{suffix}", encoded(pixels, kind), index * len(CLASSES) // count))
    return made


def write_folder(folder, images):
    for split, rows in images.items():
        for name, content, label in rows:
            path = folder / split / CLASSES[label] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def write_tars(folder, images, *, per_tar=8):
    for split, rows in images.items():
        for first in range(0, len(rows), per_tar):
            with tarfile.open(folder / f"{split}-{first:04d}.tar", "w") as tar:
                for name, content, label in rows[first : first + per_tar]:
                    key = name.split(".")[0]
                    sidecar = (
                        (f"{key}.cls", str(label).encode()) if label else (f"{key}.json", json.dumps({"label": label}).encode())
                    )
                    for member, data in ((name, content), sidecar):
                        info = tarfile.TarInfo(member)
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
    return folder


def write_parquet(folder, images, *, row_group_size=4):
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    for split, rows in images.items():
        name = "validation" if split == "val" else split
        half = len(rows) // 2
        for part, chosen in enumerate((rows[:half], rows[half:])):
            column = [{"bytes": content, "path": path} for path, content, _ in chosen]
            table = pa.table({"image": column, "label": pa.array([label for *_, label in chosen], pa.int64())})
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
            pq.write_table(table, folder / f"{name}-{part:05d}-of-00002.parquet", row_group_size=row_group_size)
    return folder


def write_array_records(folder, images, encode):
    """`encode(features)` makes the bytes of a tf.train.Example."""
    from array_record.python.array_record_module import ArrayRecordWriter

    for split, rows in images.items():
        name = "validation" if split == "val" else split
        writer = ArrayRecordWriter(str(folder / f"set-{name}.array_record-00000-of-00001"), "group_size:1")
        for path, content, label in rows:
            writer.write(encode({"image": [content], "label": [label], "file_name": [path.encode()]}))
        writer.close()
    (folder / "features.json").write_text(
        json.dumps({"featuresDict": {"features": {"label": {"classLabel": {"numClasses": str(len(CLASSES))}}}}})
    )
    return folder
