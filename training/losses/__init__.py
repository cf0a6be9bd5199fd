# SPDX-License-Identifier: Apache-2.0
"""Losses as pure functions, student first, and the targets that they need.

| acronym | function | paper |
|---|---|---|
| CE | `segmentation_loss`, `cross_entropy_loss` | |
| class weights | `class_weights`, `batch_class_weights` | ENet, arXiv 1606.02147; Gated-SCNN |
| prior correction | `prior_shift` | logit adjustment, arXiv 2007.07314 |
| L_edge of the teacher | `balanced_edge_loss` | CEKD, RA-L 2023; HED (balance), ICCV 2015 |
| ELG | `edge_labels`, `shrink_edges` | CEKD, after DFF, arXiv 1902.09104 |
| edges of the color image | `image_edges` | Canny, TPAMI 1986; in no paper on distillation |
| L_edge of the student | `edge_hint_loss` | CEKD |
| L_sim | `feature_similarity_loss` | CEKD; structured distillation, arXiv 1903.04197 |
| L_kdce | `soft_cross_entropy_loss` | CEKD; Hinton et al., arXiv 1503.02531 |
| CWD, CD | `channel_wise_loss` | channel-wise distillation, arXiv 2011.13256 |
| L_S | `depth_l1_loss` | mutual distillation, arXiv 2203.09737 |
| L_S,u | `laplacian_nll_loss` | mutual distillation; Poggi et al. (likelihood), CVPR 2020 |
| filtering of unprojected points, M | `unprojected_point_loss` | mutual distillation |
| pe, SSIM | `photometric_error` | Monodepth2, arXiv 1806.01260 |
| minimum, auto-mask | `minimum_reprojection`, `identity_error` | Monodepth2 |
| four scales | `multi_scale_reprojection`, `at_full_size` | Monodepth2 |
| L_U | `photometric_loss` | Monodepth2 |
| L_U,u | `uncertain_photometric_loss` | mutual distillation |
| L_sm | `smoothness_loss`, `multi_scale_smoothness_loss`, `smoothness_weight` | Monodepth2 |
| UW, UT, UWT, CT | `uncertainty_weighted_distillation_loss` | mutual distillation |
| scale of a branch | `align_scale` | ours; the paper's way is not public |
| depth of a fast student | `log_depth_distillation_loss` | ours, after Poggi et al. |
| AT | `attention_transfer_loss` | attention transfer, arXiv 1612.03928 |
| PI | `pixel_wise_loss` | structured distillation |
| LOCAL | `local_similarity_loss` | Xie et al., BMVC 2018, arXiv 1810.08476 |
| PA | `pairwise_affinity_loss` | structured distillation |
| IFVD | `intra_class_variation_loss` | Wang et al., ECCV 2020 |
| HO | `holistic_loss`, `discriminator_loss` | structured distillation; WGAN-GP, arXiv 1704.00028 |
| L_if | `inverse_form_loss`, `tiles_from_maps` | InverseForm, CVPR 2021, arXiv 2104.02745 |
| d_e, d_geo | `parameter_distance`, `euclidean_distance`, `geodesic_distance` | InverseForm |
| L_bxe | `balanced_edge_loss(per_image=False)` against `boundary_target` | InverseForm |
| edge attention | `edge_attention_loss` | InverseForm; Gated-SCNN, arXiv 1907.05740 |
| L_sal | `saliency_loss`, `estimated_saliency` | EPS, arXiv 2105.08965 |

Two modules learn beside the student and are left behind after training: `ChannelAlignment`, for
features whose channels differ from the teacher's, and the `Discriminator` of HO.
"""

from training.losses.attention_transfer import attention_transfer_loss
from training.losses.balanced_edge import balanced_edge_loss
from training.losses.boundary_target import boundary_target
from training.losses.channel_alignment import ChannelAlignment
from training.losses.channel_wise import channel_wise_loss
from training.losses.counts import MeanCount
from training.losses.cross_entropy import (
    batch_class_weights,
    class_weights,
    cross_entropy_loss,
    prior_shift,
    segmentation_loss,
)
from training.losses.depth_l1 import depth_l1_loss
from training.losses.discriminator import Discriminator, DiscriminatorConfig
from training.losses.edge_attention import edge_attention_loss
from training.losses.edge_hint import edge_hint_loss
from training.losses.edge_labels import edge_labels, shrink_edges
from training.losses.feature_similarity import feature_similarity_loss
from training.losses.holistic import discriminator_loss, gradient_penalty, holistic_loss
from training.losses.image_edges import image_edges
from training.losses.intra_class_variation import intra_class_variation_loss
from training.losses.inverse_form import inverse_form_loss
from training.losses.laplacian_nll import laplacian_nll_loss
from training.losses.local_similarity import local_similarity_loss
from training.losses.log_depth_distillation import log_depth_distillation_loss
from training.losses.minimum_reprojection import (
    Reprojection,
    identity_error,
    minimum_reprojection,
    photometric_loss,
)
from training.losses.multi_scale_reprojection import (
    SourceView,
    at_full_size,
    multi_scale_reprojection,
)
from training.losses.pairwise_affinity import pairwise_affinity_loss
from training.losses.photometric import photometric_error
from training.losses.pixel_wise import pixel_wise_loss
from training.losses.saliency import estimated_saliency, map_overlap, saliency_loss
from training.losses.scale_alignment import Aligned, align_scale
from training.losses.smoothness import (
    multi_scale_smoothness_loss,
    smoothness_loss,
    smoothness_weight,
)
from training.losses.soft_cross_entropy import soft_cross_entropy_loss
from training.losses.tiling import maps_from_tiles, tiles_from_maps, tiling_size
from training.losses.transform_distance import (
    euclidean_distance,
    geodesic_distance,
    parameter_distance,
)
from training.losses.uncertain_photometric import uncertain_photometric_loss
from training.losses.uncertainty_distillation import uncertainty_weighted_distillation_loss
from training.losses.unprojected_point import unprojected_point_loss

__all__ = [
    'Aligned',
    'ChannelAlignment',
    'Discriminator',
    'DiscriminatorConfig',
    'MeanCount',
    'Reprojection',
    'SourceView',
    'align_scale',
    'at_full_size',
    'attention_transfer_loss',
    'balanced_edge_loss',
    'batch_class_weights',
    'boundary_target',
    'channel_wise_loss',
    'class_weights',
    'cross_entropy_loss',
    'depth_l1_loss',
    'discriminator_loss',
    'edge_attention_loss',
    'edge_hint_loss',
    'edge_labels',
    'estimated_saliency',
    'euclidean_distance',
    'feature_similarity_loss',
    'geodesic_distance',
    'gradient_penalty',
    'holistic_loss',
    'identity_error',
    'image_edges',
    'intra_class_variation_loss',
    'inverse_form_loss',
    'laplacian_nll_loss',
    'local_similarity_loss',
    'log_depth_distillation_loss',
    'map_overlap',
    'maps_from_tiles',
    'minimum_reprojection',
    'multi_scale_reprojection',
    'multi_scale_smoothness_loss',
    'pairwise_affinity_loss',
    'parameter_distance',
    'photometric_error',
    'photometric_loss',
    'pixel_wise_loss',
    'prior_shift',
    'saliency_loss',
    'segmentation_loss',
    'shrink_edges',
    'smoothness_loss',
    'smoothness_weight',
    'soft_cross_entropy_loss',
    'tiles_from_maps',
    'tiling_size',
    'uncertain_photometric_loss',
    'uncertainty_weighted_distillation_loss',
    'unprojected_point_loss',
]
