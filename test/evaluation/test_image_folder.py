# SPDX-License-Identifier: Apache-2.0
import json

import cv2
import numpy as np
import pytest
import recorded_drives as drives

from kd_perception.backends import create_backend
from kd_perception.bundle import load_student
from kd_perception.errors import BagError, ImageEncodingError
from kd_perception.evaluation.image_folder import evaluate_images, read_frame
from kd_perception.evaluation.report_images import SheetRow, contact_sheet
from kd_perception.pipeline import Pipeline


@pytest.fixture
def pipeline(tiny_student_folder):
    student = load_student(tiny_student_folder)
    backend = create_backend(student, backend='onnxruntime', threads=1)
    yield Pipeline(student, backend)
    backend.close()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / 'images'
    (made / 'more').mkdir(parents=True)
    deep = drives.level_scene(0)[0]
    cv2.imwrite(f'{made}/a_deep.png', deep)
    cv2.imwrite(f'{made}/b_deep.tiff', deep[::-1].copy())
    cv2.imwrite(f'{made}/c_gray.png', (deep >> 8).astype(np.uint8))
    cv2.imwrite(f'{made}/more/d_three_equal_channels.png', np.dstack([deep.astype(np.uint8)] * 3))
    color = np.zeros((20, 20, 3), np.uint8)
    color[5] = (0, 0, 255)
    cv2.imwrite(f'{made}/e_color.png', color)
    (made / 'f_damaged.png').write_bytes(b'\x89PNG no')
    (made / 'notes.txt').write_text('not an image')
    return made


def entries_of(out):
    document = json.loads((out / 'images.json').read_text())
    return {entry['file']: entry for entry in document['images']}


def test_every_image_is_used_or_named_with_the_reason(folder, tmp_path, pipeline):
    out = tmp_path / 'out'
    assert evaluate_images(folder, out, pipeline) == 4
    entries = entries_of(out)
    assert list(entries) == [
        'a_deep.png', 'b_deep.tiff', 'c_gray.png', 'e_color.png', 'f_damaged.png',
        'more/d_three_equal_channels.png',
    ]  # fmt: skip
    assert 'one channel' in entries['e_color.png']['error']
    assert 'error' in entries['f_damaged.png']
    assert entries['a_deep.png']['type'] == entries['b_deep.tiff']['type'] == 'uint16'
    assert (entries['a_deep.png']['lowest'], entries['a_deep.png']['highest']) == (29000, 29800)
    shares = entries['a_deep.png']['class_shares']
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert shares['car'] == pytest.approx(1 / 8, abs=0.03)  # one stripe in eight


def test_images_do_not_depend_on_those_before_them(folder, tmp_path, pipeline):
    evaluate_images(folder, tmp_path / 'all', pipeline)
    together = entries_of(tmp_path / 'all')['b_deep.tiff']
    (folder / 'a_deep.png').unlink()
    evaluate_images(folder, tmp_path / 'fewer', pipeline)
    assert entries_of(tmp_path / 'fewer')['b_deep.tiff'] == together


def test_contact_sheet_shows_every_frame(folder, tmp_path, pipeline):
    out = tmp_path / 'out'
    evaluate_images(folder, out, pipeline)
    sheet = cv2.imread(str(out / 'contact_sheet.jpg'))
    # Two lines of two frames of three panels of 300 px.
    assert sheet.shape[1] == pytest.approx(2 * 3 * 300, abs=20)
    assert sheet.shape[0] == pytest.approx(2 * (225 + 18), abs=40)
    assert not np.array_equal(sheet[40:200, 320:580], sheet[40:200, 20:280])


def test_sheets_of_frames_of_different_sizes(tmp_path, pipeline):
    student = pipeline.student
    rows = [
        SheetRow(f'{height} rows', (np.full((height, 50, 3), 9, np.uint8),) * 3)
        for height in (40, 60, 20)
    ]
    contact_sheet(rows, tmp_path / 'sheet.jpg', student)
    lines = (60 + 18 + 6) + (20 + 18 + 6)
    legend = 4 * 18  # eight classes, two beside each other
    assert cv2.imread(str(tmp_path / 'sheet.jpg')).shape == (lines + legend, 312, 3)
    with pytest.raises(BagError, match='at least one'):
        contact_sheet([], tmp_path / 'sheet.jpg', student)


def test_sixteen_bits_are_kept(folder):
    frame = read_frame(folder / 'a_deep.png')
    np.testing.assert_array_equal(frame.image, drives.level_scene(0)[0])
    assert frame.encoding == 'mono16'
    with pytest.raises(ImageEncodingError, match='one channel'):
        read_frame(folder / 'e_color.png')


def test_folders_that_hold_nothing_are_refused(tmp_path, pipeline):
    (tmp_path / 'empty').mkdir()
    for name, reason in (('empty', 'must hold image files'), ('nowhere', 'must exist')):
        with pytest.raises(BagError, match=reason):
            evaluate_images(tmp_path / name, tmp_path / 'out', pipeline)


def test_real_sixteen_bit_frames(real_data, tmp_path, pipeline):
    used = evaluate_images(real_data / 'thermal16', tmp_path / 'out', pipeline)
    deep = [e for e in entries_of(tmp_path / 'out').values() if e.get('type') == 'uint16']
    assert used >= 12 and len(deep) >= 12
    for entry in deep:
        assert entry['agc_low'] < entry['agc_high']
        assert entry['unpredicted_share'] == 0.0
