"""Inference, where all blocks of the paper meet: score -> SRM -> HSE -> guided diffusion -> codec -> audio.

    from hsmad_cli.files.midi import read_midi

    pipeline = Pipeline.load()
    score = pipeline.encode(read_midi("song.mid"), instruments="free")
    audio = pipeline.sample(score, "jazz trio in a small room")

Every stage works on a song of any length in flat memory: the roll is rendered block by block, the U-Net and the codec
get blocks with a halo as wide as they can see, so that blocks and the whole agree. The noise depends on the seed and
the absolute latent frame only. Songs are never batched together.
"""

from __future__ import annotations

from hsmad_cli.model.precision import has_bfloat16
from hsmad_cli.pipeline.codec import Codec
from hsmad_cli.pipeline.device import choose_device
from hsmad_cli.pipeline.sampling import EncodedScore, Pipeline

__all__ = ["Codec", "EncodedScore", "Pipeline", "choose_device", "has_bfloat16"]
