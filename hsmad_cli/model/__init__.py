"""The networks of the paper's figure 1. Nothing here touches a disk.

Axis letters, used in every docstring of this package:
B batch, T time (T_H, T_M, T_L: event, local, global rate), C latent or audio channels, D feature width, N notes,
P pitch.
Sequences are [B, T, D], audio is [B, C, samples].
"""
