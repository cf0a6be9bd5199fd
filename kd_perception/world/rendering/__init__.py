# SPDX-License-Identifier: Apache-2.0
"""From a scene to pictures: the caster, light, heat and the cameras."""
