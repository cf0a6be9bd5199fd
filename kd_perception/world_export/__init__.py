# SPDX-License-Identifier: Apache-2.0
"""The synthetic world as data sets on disk, in the layouts of public sets, and as recordings.

The layouts are there to exercise the real loaders, tools and pipelines end to end. The content is
synthetic, and every export says so in its own `README.md`.
"""
