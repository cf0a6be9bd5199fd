# SPDX-License-Identifier: Apache-2.0
"""What stands in the world: forms, things, places."""
