# SPDX-License-Identifier: Apache-2.0
"""Offline training: recipes, data and records; run from the repository root, never installed."""
