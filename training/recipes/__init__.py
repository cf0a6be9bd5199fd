# SPDX-License-Identifier: Apache-2.0
"""One file per method; each runs as a module with a configuration file."""
