"""What `hsmad style-benchmark` listens to: scores in many styles, or on programs of all families, and their players."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hsmad_cli.commands.benchmark_sounds import Players
from hsmad_cli.commands.references import load_synthesizer, render_reference

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.datasets.excerpts import Choice, Excerpt
    from hsmad_cli.datasets.manifest import Item
    from hsmad_cli.datasets.recipes import Recipe
    from hsmad_cli.errors import InputError
    from hsmad_cli.evaluation.benchmark import Clip
    from hsmad_cli.evaluation.linear_classifier import LinearClassifier
    from hsmad_cli.evaluation.style_benchmark import PromptedClip
    from hsmad_cli.evaluation.style_score import StyleScorer
    from hsmad_cli.evaluation.workers import Workers
    from hsmad_cli.pipeline import EncodedScore

PROGRAMS_IN_FAMILY = 8
Failed = Callable[[str, "InputError"], object]


class PromptedPlayers(Players):
    """Players of clips that bring their prompt, and perhaps their reference."""

    def reference(self, clip: Clip) -> Future[np.ndarray]:
        from hsmad_cli.evaluation.style_benchmark import PromptedClip
        from hsmad_cli.evaluation.workers import done_here

        if isinstance(clip, PromptedClip) and clip.audio is not None:
            return done_here(lambda audio: audio, clip.audio)
        return super().reference(clip)

    def prompt(self, clip: Clip, score: EncodedScore) -> str:
        from hsmad_cli.evaluation.style_benchmark import PromptedClip

        return clip.prompt if isinstance(clip, PromptedClip) else super().prompt(clip, score)


@dataclass(frozen=True)
class StyleClips:
    """Scores in several styles. phrases: what each style is asked by, one phrase a score in turn.

    shuffled: every score is asked for in another style than its notes are orchestrated for.
    """

    recipes: Sequence[Recipe]
    phrases: Mapping[str, Sequence[str]]
    soundfont: Path
    shuffled: bool = False

    def of(self, items: Sequence[Item], choice: Choice, failed: Failed) -> Iterator[PromptedClip]:
        """Every chosen score with all the roles that the styles need, in each of them."""
        from hsmad_cli.datasets.excerpts import excerpts
        from hsmad_cli.datasets.recipes import suitable
        from hsmad_cli.errors import InputError

        wanted = set(self.recipes)
        for turn, excerpt in enumerate(
            excerpts(items, "bands", choice, failed, lambda score: wanted <= set(suitable(score.notes)))
        ):
            for index in range(len(self.recipes)):
                try:
                    yield self._clip(excerpt, turn, index, choice.seed)
                except InputError as error:
                    failed(f"{excerpt.name} as {self.recipes[index].name}", error)

    def prompt(self, turn: int, index: int) -> str:
        """What score number `turn` is asked for in style number `index`."""
        n = len(self.recipes)
        asked = (index + 1 + turn % (n - 1)) % n if self.shuffled and n > 1 else index
        phrases = self.phrases[self.recipes[asked].name]
        return phrases[turn % len(phrases)]

    def _clip(self, excerpt: Excerpt, turn: int, index: int, seed: int) -> PromptedClip:
        import numpy as np

        from hsmad_cli.datasets.factory import FactoryOptions, perform
        from hsmad_cli.datasets.manifest import Item
        from hsmad_cli.datasets.recipes import orchestrate
        from hsmad_cli.evaluation.style_benchmark import PromptedClip

        generator, recipe = np.random.default_rng([seed, turn, index]), self.recipes[index]
        played = orchestrate(excerpt.score.notes, recipe, generator)
        score = replace(excerpt.score, notes=played.notes)
        options = FactoryOptions(seconds=excerpt.seconds, captions=1)
        engine = load_synthesizer(self.soundfont)
        clip = perform(Item(excerpt.name, ""), score, recipe, played.roles, recipe.words, generator, engine, options)
        audio = clip.audio.astype(np.float32) / 32767
        prompt = self.prompt(turn, index)
        return PromptedClip(excerpt.name, recipe.name, clip.score, excerpt.seconds, prompt=prompt, audio=audio)


def family_clips(items: Sequence[Item], choice: Choice, failed: Failed) -> Iterator[PromptedClip]:
    """Every chosen score on one program of each GM family, drawn by seed, asked for without words."""
    import numpy as np

    from hsmad_cli.datasets.excerpts import excerpts
    from hsmad_cli.datasets.factory import heard
    from hsmad_cli.datasets.recipes import play_alone
    from hsmad_cli.evaluation.style_benchmark import PromptedClip
    from hsmad_cli.symbolic.notes import GM_FAMILIES

    for turn, excerpt in enumerate(excerpts(items, "ensembles", choice, failed)):
        generator = np.random.default_rng([choice.seed, turn])
        for index, family in enumerate(GM_FAMILIES):
            program = PROGRAMS_IN_FAMILY * index + int(generator.integers(PROGRAMS_IN_FAMILY))
            notes = heard(play_alone(excerpt.score.notes, program).notes, excerpt.seconds)
            yield PromptedClip(excerpt.name, family, replace(excerpt.score, notes=notes), excerpt.seconds)


def family_classifier(
    scorer: StyleScorer,
    items: Sequence[Item],
    choice: Choice,
    soundfonts: Sequence[Path],
    workers: Workers,
    failed: Failed,
) -> LinearClassifier:
    """Tells the GM families apart by the scorer's ear: fitted on `family_clips`, an equal share by each soundfont."""
    import numpy as np

    from hsmad_cli.errors import InputError
    from hsmad_cli.evaluation.linear_classifier import linear_discriminant
    from hsmad_cli.symbolic.notes import GM_FAMILIES

    clips = list(family_clips(items, choice, failed))
    if len(clips) < 2 * len(GM_FAMILIES):
        n_scores = len(clips) // len(GM_FAMILIES)
        raise InputError(f"{n_scores} ensembles of the split {choice.split} to learn the families by, 2 are needed")
    embeddings = []
    for soundfont, share in zip(soundfonts, np.array_split(np.arange(len(clips)), len(soundfonts)), strict=True):
        for first in range(0, len(share), len(GM_FAMILIES)):
            batch = [clips[i] for i in share[first : first + len(GM_FAMILIES)]]
            sounds = [workers.submit(render_reference, soundfont, clip.score.notes, clip.seconds) for clip in batch]
            embeddings += [scorer.embed_audio(sound.result()) for sound in sounds]
    classes = np.array([GM_FAMILIES.index(clip.kind) for clip in clips])
    return linear_discriminant(GM_FAMILIES, np.stack(embeddings), classes)
