# SPDX-License-Identifier: Apache-2.0
"""What streets are full of: vehicles, people, plants, furniture, clutter."""
