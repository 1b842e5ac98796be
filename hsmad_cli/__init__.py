"""HS-MAD: hierarchical symbolic-conditioned music audio diffusion."""

__version__ = "0.1.0"
