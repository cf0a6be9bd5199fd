# SPDX-License-Identifier: Apache-2.0
"""The node's parameters as data: one table for the node, the replay, the tests and the README."""
