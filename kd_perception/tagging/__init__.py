# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording in a folder, with a page on which they are tagged."""

from kd_perception.tagging.tag_table import TagTable, read_tag_table

__all__ = ['TagTable', 'read_tag_table']
