"""What `hsmad benchmark` listens to: clips of the manifest's scores, and who plays them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from hsmad_cli.commands.references import render_reference

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.config import Instruments, SampleConfig
    from hsmad_cli.datasets.excerpts import Choice, Excerpt
    from hsmad_cli.datasets.manifest import Item
    from hsmad_cli.errors import InputError
    from hsmad_cli.evaluation.benchmark import Clip
    from hsmad_cli.evaluation.workers import Workers
    from hsmad_cli.pipeline import Codec, EncodedScore, Pipeline
    from hsmad_cli.symbolic.notes import Score


@dataclass(frozen=True)
class Shift:
    """By how much every clip is also played higher (pitched clips) and later; zero: not at all."""

    semitones: int = 0
    delay_s: float = 0.0

    def allows(self, score: Score) -> bool:
        """Whether no note would leave the keyboard."""
        from hsmad_cli.datasets.augment import transpose

        return not self.moves(score) or transpose(score, self.semitones) is not score

    def moves(self, score: Score) -> bool:
        return self.semitones != 0 and not score.notes.is_drum.all()

    def n_forms(self, kind: str) -> int:
        """How many clips `forms` gives."""
        return 1 + (self.semitones != 0 and kind != "drums") + (self.delay_s != 0)

    def forms(self, kind: str, excerpt: Excerpt) -> Iterator[Clip]:
        """The clip of an excerpt of a set, and its shifted forms."""
        from hsmad_cli.datasets.augment import delay, transpose
        from hsmad_cli.evaluation.benchmark import Clip

        name, score, seconds = excerpt.name, excerpt.score, excerpt.seconds
        if not (self.semitones or self.delay_s):
            yield Clip(name, kind, score, seconds)
            return
        yield Clip(name, kind, score, seconds, "none", score)
        if self.moves(score):
            yield Clip(name, kind, transpose(score, self.semitones), seconds, f"{self.semitones:+d} semitones", score)
        if self.delay_s:
            later = delay(score, self.delay_s)
            yield Clip(name, kind, later, seconds + self.delay_s, f"{1000 * self.delay_s:+g} ms", score)


def clips_of(
    items: Sequence[Item],
    kinds: Sequence[str],
    choice: Choice,
    shift: Shift,
    failed: Callable[[str, InputError], object],
) -> Iterator[Clip]:
    """The clips of all sets in turn, each followed by its shifted forms; what cannot be shifted is passed over."""
    from hsmad_cli.datasets.excerpts import excerpts

    chosen = [excerpts(items, kind, choice, failed, shift.allows) for kind in kinds]
    for turn in zip_longest(*chosen):
        for kind, excerpt in zip(kinds, turn, strict=True):
            if excerpt is not None:
                yield from shift.forms(kind, excerpt)


class Players:
    """The three players of a clip: a soundfont in the workers, the codec and the model here.

    Without a pipeline the codec is alone. Captions are the prompts; all clips get the same `seed` and `dynamics`.
    """

    def __init__(
        self,
        workers: Workers,
        soundfont: Path,
        codec: Codec,
        pipeline: Pipeline | None,
        instruments: Instruments,
        dynamics: float,
        seed: int,
    ) -> None:
        self.workers, self.soundfont, self.codec, self.pipeline = workers, soundfont, codec, pipeline
        self.instruments, self.dynamics, self.seed = instruments, dynamics, seed
        self._encoded = lru_cache(1)(self._encode)

    def reference(self, clip: Clip) -> Future[np.ndarray]:
        return self.workers.submit(render_reference, self.soundfont, clip.score.notes, clip.seconds)

    def coded(self, reference: np.ndarray) -> np.ndarray:
        return self.codec.decode(self.codec.encode(reference))[:, : reference.shape[1]]

    def generated(self, clip: Clip, setting: SampleConfig) -> np.ndarray:
        import numpy as np

        pipeline, score = self._encoded(clip)
        audio = pipeline.sample(score, self.prompt(clip, score), setting, seed=self.seed, seconds=clip.seconds)
        missing = round(clip.seconds * self.codec.sample_rate) - audio.shape[1]
        return np.pad(audio, ((0, 0), (0, max(0, missing))))

    def prompt(self, clip: Clip, score: EncodedScore) -> str:
        """What is asked for."""
        return score.caption

    def _encode(self, clip: Clip) -> tuple[Pipeline, EncodedScore]:
        if self.pipeline is None:
            raise ValueError("a codec alone plays no score")
        return self.pipeline, self.pipeline.encode(clip.score, self.instruments, self.dynamics)
