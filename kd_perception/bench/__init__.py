# SPDX-License-Identifier: Apache-2.0
"""How fast this machine turns thermal frames into masks, beside the usual ways, in one run."""
