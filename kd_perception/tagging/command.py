# SPDX-License-Identifier: Apache-2.0
"""The command `kd-perception tag`: frames of a recording, a table of tags, a page to fill it in.

FOLDER/frames, thumbnails, labels, neighbors    see `kd_perception.tagging.tag_files`
FOLDER/tags.csv                                 see `kd_perception.tagging.tag_table`
FOLDER/tags_before.csv                          what it was, where the classes have changed
FOLDER/source.json                              which recordings the images come from
FOLDER/index.html                               the page
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from kd_perception.bags import BagReader
from kd_perception.errors import BagError, ConfigError
from kd_perception.tagging.extraction import (
    TagSetConfig,
    images_of_bag,
    tiles_from_text,
    tiles_of,
)
from kd_perception.tagging.frame_names import grid_size, in_time
from kd_perception.tagging.origin import add_source
from kd_perception.tagging.page import write_page
from kd_perception.tagging.tag_files import FRAMES, limits_of, write_neighbors, write_tile
from kd_perception.tagging.tag_table import (
    TagTable,
    changed_classes,
    check_classes,
    read_tag_table,
)

TAGS_FILE, EARLIER_FILE, PAGE_FILE = 'tags.csv', 'tags_before.csv', 'index.html'


def make_tag_set(folder: Path, config: TagSetConfig, *, progress: bool = False) -> TagTable:
    """Write frames, table and page; tags that are in the folder already are kept.

    So are those of frames which are not chosen this time, as long as their images are there. Where
    other classes were tagged before, standard error says what that means for these frames, and the
    earlier table stays as `tags_before.csv`.

    Args:
        folder: To fill; made if needed.
        config: What is to be tagged.
        progress: Show a progress bar on standard error.

    Returns:
        The table as written.

    Raises:
        BagError: The recording cannot be read, or none of its images can be tagged.
        ConfigError: Tiles are too small, a class has an impossible name, or the folder holds
            other images under the same names.
        DatasetError: The table in the folder is damaged.
        OSError: The folder cannot be written.
    """
    path = folder / TAGS_FILE
    older = read_tag_table(path) if path.is_file() else TagTable(config.classes)
    _check_tiling(folder, older, config)
    table = TagTable(config.classes)
    with BagReader(config.bag) as bag:
        topic = config.image_topic or bag.image_topic()
        images = images_of_bag(bag, topic, config)
        for image in tqdm(images, unit='image', disable=not progress, leave=False):
            limits = limits_of(image.pixels)
            for tile in tiles_of(image, config):
                write_tile(folder, tile, limits)
                table.rows[tile.name] = tile.tags
            write_neighbors(folder, image)
        if not table.rows:
            reason = bag.failures[0].reason if bag.failures else 'it has no stamped images'
            raise BagError(f'No image of {topic} in {config.bag} can be tagged: {reason}')
    add_source(folder, config.bag, topic)
    names = sorted([*table.rows, *_kept(folder, table, older)], key=in_time)
    table = table.merged(names, older)
    if changes := changed_classes(older, table):
        older.write(folder / EARLIER_FILE)
        changes.append(f'the earlier table is {folder / EARLIER_FILE}')
        print(f'warning: {"; ".join(changes)}', file=sys.stderr)
    table.write(path)
    write_page(folder / PAGE_FILE, table, title=f'Tags of {config.bag.name}, {topic}')
    return table


def _check_tiling(folder: Path, older: TagTable, config: TagSetConfig) -> None:
    """Refuse tiles beside whole images; other tilings show by their pixels."""
    whole = grid_size(older.rows) == (1, 1)
    if older.rows and whole != (config.tiles == (1, 1)):
        raise ConfigError(
            f'{folder} holds {"whole images" if whole else "tiles"}: choose another --out, or '
            'remove that folder'
        )


def _kept(folder: Path, table: TagTable, older: TagTable) -> list[str]:
    """Frames that somebody has tagged before and that are still there."""
    return [
        name
        for name in older.tagged()
        if name not in table.rows and (folder / FRAMES / f'{name}.png').is_file()
    ]


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        Exit code 0.

    Raises:
        KdPerceptionError: As `make_tag_set`.
    """
    config = TagSetConfig(
        bag=arguments.bag,
        classes=check_classes(arguments.classes),
        image_topic=arguments.image_topic,
        stride=arguments.stride,
        max_frames=arguments.max_frames,
        tiles=tiles_from_text(arguments.tiles),
        label_topic=arguments.label_topic,
        neighbors=arguments.neighbors,
    )
    progress = not arguments.quiet and sys.stderr.isatty()
    table = make_tag_set(arguments.out, config, progress=progress)
    print(
        f'{len(table.rows)} images, {len(table.tagged())} of them tagged\n'
        f'open {arguments.out / PAGE_FILE} in a browser, tag, and save {TAGS_FILE} into '
        f'{arguments.out}'
    )
    return 0
