# SPDX-License-Identifier: Apache-2.0
"""Streets, what is placed along them, and cameras on their way."""
