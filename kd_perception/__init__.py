# SPDX-License-Identifier: Apache-2.0
"""Thermal and RGB perception with distilled students: masks, depth and calibrated uncertainty."""
