# SPDX-License-Identifier: Apache-2.0
"""Recordings and images to metrics, hashes, report and video."""
