"""Ogg Vorbis whose bytes depend on the sound alone: libsndfile draws the serial number of its stream at random."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np

QUALITY = 0.5
SAMPLES_AT_ONCE = 2**16
HEADER, SERIAL, CHECKSUM, N_SEGMENTS = 27, slice(14, 18), slice(22, 26), 26
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def encode_ogg(pcm: np.ndarray, sample_rate: int) -> bytes:
    """An Ogg Vorbis file with int16 [samples, channels], about 130 kbit/s in stereo.

    It is written piece by piece, since libsndfile crashes on long sounds.
    """
    import soundfile

    buffer = BytesIO()
    form = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - QUALITY}
    with soundfile.SoundFile(buffer, "w", sample_rate, pcm.shape[1], **form) as file:
        for start in range(0, len(pcm), SAMPLES_AT_ONCE):
            file.write(pcm[start : start + SAMPLES_AT_ONCE])
    return with_serial(buffer.getvalue(), 0)


def with_serial(data: bytes, serial: int) -> bytes:
    """The Ogg pages of one stream with another serial number, and with the checksums that this takes (RFC 3533)."""
    pages, start = [], 0
    while start < len(data):
        segments = data[start + HEADER : start + HEADER + data[start + N_SEGMENTS]]
        end = start + HEADER + len(segments) + sum(segments)
        page = bytearray(data[start:end])
        page[SERIAL], page[CHECKSUM] = serial.to_bytes(4, "little"), bytes(4)
        page[CHECKSUM] = checksum(bytes(page)).to_bytes(4, "little")
        pages.append(bytes(page))
        start = end
    return b"".join(pages)


def checksum(page: bytes) -> int:
    """The CRC of Ogg: polynomial 0x04C11DB7 from 0, highest bit first, where zlib's goes lowest first and inverts."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
