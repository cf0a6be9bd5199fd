# SPDX-License-Identifier: Apache-2.0
"""From a bag to a folder of the cache: pair by stamps, read what was paired, say what was left."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.bags.types import BagMessage
from kd_perception.encodings import frame_from_message
from kd_perception.errors import BagError, ConfigError, ImageEncodingError
from kd_perception.evaluation.labels import stamped
from kd_perception.files import write_atomically
from training.data.bag_cameras import find_cameras
from training.data.bag_chunks import CHUNK_PAIRS, KINDS, Chunk, list_path, remove_parts
from training.data.bag_pairing import chosen, nearest_gaps_ms, pair_stamps
from training.data.bag_report import BagReport
from training.data.bag_views import Views

if TYPE_CHECKING:
    from training.data.bag import BagPairsConfig

Array = npt.NDArray[Any]

_NS_PER_MS = 1_000_000
_BYTES_PER_GB = 10**9
_FAILURES_SHOWN = 10


@dataclass(frozen=True)
class Plan:
    """What is to be stored.

    Attributes:
        config: settings.
        views: makes the stored images.
        messages: of both topics, by kind.
        stamps_ns: of those that have a header, in the order of the bag.
        paired: indices into these of all pairs, int64 [pairs, 2].
        rows: of the pairs that are stored.
    """

    config: BagPairsConfig
    views: Views
    messages: dict[str, int]
    stamps_ns: dict[str, list[int]]
    paired: Array
    rows: Array

    @property
    def chunks(self) -> int:
        """Number of chunks; the last one may be short."""
        return -(-len(self.rows) // CHUNK_PAIRS)

    def stored_stamps_ns(self, rows: list[int]) -> Array:
        """Stamps of stored pairs, int64 [rows, 2]."""
        columns = [np.array(self.stamps_ns[k], np.int64)[self.rows[rows, i]] for i, k in _NUMBERED]
        return np.stack(columns, axis=1)


_NUMBERED = tuple(enumerate(KINDS))


def extract(folder: Path, config: BagPairsConfig) -> dict[str, Any]:
    """Store what the folder lacks.

    Args:
        folder: of the cache, which exists and whose lock is held.
        config: what to store.

    Returns:
        `report`, and by stored pair `rows` and `stamps_ns`.

    Raises:
        BagError: the bag is damaged, or a named topic is not in it.
        ConfigError: the topics are not clear, too much is to be stored, or no pair is left.
    """
    plan = make_plan(config)
    remove_parts(folder)
    if len(plan.rows):
        _check_size(plan)
        _fill(folder, plan)
    lists = [json.loads(list_path(folder, chunk).read_text()) for chunk in range(plan.chunks)]
    rows = [CHUNK_PAIRS * i + row for i, values in enumerate(lists) for row in values['rows']]
    report = _report(plan, rows, lists)
    if not rows:
        raise ConfigError(_nothing_left(report, config))
    return {
        'report': asdict(report),
        'rows': rows,
        'stamps_ns': plan.stored_stamps_ns(rows).tolist(),
    }


def make_plan(config: BagPairsConfig) -> Plan:
    """Find the topics and pair their stamps."""
    thermal, rgb = find_cameras(config.bag, config.thermal_topic, config.rgb_topic)
    views = Views(thermal, rgb, config.image_size, config.rgb_to_thermal)
    stamps: dict[str, list[int]] = {kind: [] for kind in KINDS}
    with BagReader(config.bag) as bag:
        messages = {k: bag.topic(c.topic).message_count for k, c in views.cameras.items()}
        total = sum(messages.values())
        with tqdm(total=total, desc=f'stamps of {config.bag.name}', unit='message') as bar:
            for kind, _, _, stamp_ns in _images(bag, views):
                stamps[kind].append(stamp_ns)
                bar.update()
    paired = pair_stamps(stamps['thermal'], stamps['rgb'], round(config.max_gap_ms * _NS_PER_MS))
    rows = chosen(paired, config.stride, config.max_frames)
    return Plan(config, views, messages, stamps, paired, rows)


def _images(bag: BagReader, views: Views) -> Iterator[tuple[str, int, BagMessage, int]]:
    """Kind, number within its topic, message and stamp; the same at every reading."""
    kinds = {camera.topic: kind for kind, camera in views.cameras.items()}
    numbers = dict.fromkeys(kinds, 0)
    for message, stamp_ns in stamped(bag, list(kinds)):
        yield kinds[message.topic], numbers[message.topic], message, stamp_ns
        numbers[message.topic] += 1


def _check_size(plan: Plan) -> None:
    height, width = plan.views.image_size
    pixel_bytes = np.dtype(plan.views.cameras['thermal'].dtype).itemsize + 3
    size_gb = len(plan.rows) * height * width * pixel_bytes / _BYTES_PER_GB
    if size_gb > plan.config.max_gb:
        raise ConfigError(
            f'the stored pairs may have {plan.config.max_gb:g} GB (max_gb); {len(plan.rows)} of '
            f'{height}x{width} have {size_gb:.2f}: raise stride, or lower max_frames or image_size'
        )


def _fill(folder: Path, plan: Plan) -> None:
    """Read the images of the chunks that are not there."""
    missing = [c for c in range(plan.chunks) if not list_path(folder, c).exists()]
    places: dict[str, dict[int, int]] = defaultdict(dict)
    for row in (r for c in missing for r in range(*_span(c, plan))):
        for column, kind in _NUMBERED:
            places[kind][int(plan.rows[row, column])] = row
    if not missing:
        return
    done = len(plan.rows) - len(places['thermal'])
    bar = tqdm(
        total=len(plan.rows), initial=done, desc=f'pairs of {plan.config.bag.name}', unit='pair'
    )
    try:
        with BagReader(plan.config.bag) as bag, bar:
            _store(_read(bag, plan, places), folder, plan, bar)
    finally:
        remove_parts(folder)


def _span(chunk: int, plan: Plan) -> tuple[int, int]:
    return chunk * CHUNK_PAIRS, min((chunk + 1) * CHUNK_PAIRS, len(plan.rows))


def _read(
    bag: BagReader, plan: Plan, places: dict[str, dict[int, int]]
) -> Iterator[tuple[str, int, Array | str]]:
    """Kind, row and image; for an image that cannot be read the reason."""
    for kind, number, message, _ in _images(bag, plan.views):
        row = places[kind].get(number)
        if row is None:
            continue
        try:
            yield kind, row, plan.views.image(kind, frame_from_message(message.deserialize()))
        except (BagError, ImageEncodingError) as error:
            yield kind, row, f'{message.topic} at {message.log_time_ns} ns: {error}'


def _store(
    images: Iterator[tuple[str, int, Array | str]], folder: Path, plan: Plan, bar: tqdm[Any]
) -> None:
    """Fill chunks, and close each when it is full."""
    size, thermal = plan.views.image_size, plan.views.cameras['thermal']
    filled: dict[int, Chunk] = {}
    for kind, row, image in images:
        index = row // CHUNK_PAIRS
        if index not in filled:
            first, last = _span(index, plan)
            shapes = {'thermal': (last - first, *size), 'rgb': (last - first, *size, 3)}
            dtypes = {'thermal': thermal.dtype, 'rgb': 'uint8'}
            filled[index] = Chunk(folder, index, shapes, dtypes)
        bar.update(filled[index].put(kind, row % CHUNK_PAIRS, image))
        if filled[index].full:
            filled.pop(index).close()


def _report(plan: Plan, rows: list[int], lists: list[dict[str, Any]]) -> BagReport:
    stamps = plan.stored_stamps_ns(rows)
    gaps = np.abs(stamps[:, 0] - stamps[:, 1]) / _NS_PER_MS
    nearest = nearest_gaps_ms(*plan.stamps_ns.values())
    return BagReport(
        bag=plan.config.bag.name,
        cameras={kind: str(camera) for kind, camera in plan.views.cameras.items()},
        image_size=plan.views.image_size,
        covered=plan.views.covered,
        pairs=len(rows),
        gap_ms={'median': float(np.median(gaps)), 'largest': float(gaps.max())} if rows else {},
        nearest_ms=float(np.median(nearest)) if len(nearest) else None,
        messages={kind: _counts(plan, kind, len(rows), lists) for kind in KINDS},
        failures=tuple(f for values in lists for f in values['failures'])[:_FAILURES_SHOWN],
    )


def _counts(plan: Plan, kind: str, used: int, lists: list[dict[str, Any]]) -> dict[str, int]:
    stamps = plan.stamps_ns[kind]
    unstamped = sum(stamp <= 0 for stamp in stamps)
    malformed = sum(values['malformed'][kind] for values in lists)
    return {
        'used': used,
        'no_partner': len(stamps) - unstamped - len(plan.paired),
        'left_out': len(plan.paired) - len(plan.rows),
        'malformed': malformed + plan.messages[kind] - len(stamps),
        'partner_malformed': sum(values['partner_malformed'][kind] for values in lists),
        'no_stamp': unstamped,
    }


def _nothing_left(report: BagReport, config: BagPairsConfig) -> str:
    hint = ''
    if report.nearest_ms is not None and report.nearest_ms > config.max_gap_ms:
        hint = (
            f'\nThe color image nearest to a thermal one is {report.nearest_ms:.1f} ms away '
            f'(median), max_gap_ms is {config.max_gap_ms:g}: raise it, or let both drivers use '
            'one clock.'
        )
    return (
        f'a bag must have at least one pair of readable images with stamps; {report.text()}{hint}'
    )


def write_index(path: Path, values: dict[str, Any]) -> None:
    """Write what `extract` gives; the folder is whole from then on."""
    text = json.dumps(values) + '\n'
    write_atomically(path, lambda file: file.write(text.encode()))
