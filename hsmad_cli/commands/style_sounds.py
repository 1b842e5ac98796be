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
    from hsmad_cli.evaluation.workers import Workers
    from hsmad_cli.pipeline import Codec, EncodedScore

N_PROGRAMS = 128
PROGRAMS_IN_FAMILY = 8
EXAMPLES_OF_PROGRAM = 8
PROGRAM_SHRINKAGE = 0.0003
BATCH = 16
Failed = Callable[[str, "InputError"], object]
Embed = Callable[["np.ndarray"], "np.ndarray"]


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

        asked = clip.prompt if isinstance(clip, PromptedClip) else None
        return super().prompt(clip, score) if asked is None else asked


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
    """Every chosen score on one program of each GM family, drawn by seed, asked for by its own caption."""
    import numpy as np

    from hsmad_cli.datasets.excerpts import excerpts
    from hsmad_cli.symbolic.notes import GM_FAMILIES

    for turn, excerpt in enumerate(excerpts(items, "ensembles", choice, failed)):
        generator = np.random.default_rng([choice.seed, turn])
        for index in range(len(GM_FAMILIES)):
            yield _alone(excerpt, PROGRAMS_IN_FAMILY * index + int(generator.integers(PROGRAMS_IN_FAMILY)))


def program_clips(items: Sequence[Item], choice: Choice, failed: Failed) -> Iterator[PromptedClip]:
    """Every program of GM on as many of the chosen scores as it needs examples; kind: the name of its family."""
    from hsmad_cli.datasets.excerpts import excerpts

    chosen = list(excerpts(items, "ensembles", choice, failed))
    n_examples = min(EXAMPLES_OF_PROGRAM, len(chosen))
    for example in range(n_examples):
        for program in range(N_PROGRAMS):
            yield _alone(chosen[(program + example * len(chosen) // n_examples) % len(chosen)], program)


def _alone(excerpt: Excerpt, program: int) -> PromptedClip:
    """All pitched notes of an excerpt on one program, asked for by its own caption."""
    from hsmad_cli.datasets.factory import heard
    from hsmad_cli.datasets.recipes import play_alone
    from hsmad_cli.evaluation.style_benchmark import PromptedClip
    from hsmad_cli.symbolic.notes import GM_FAMILIES

    notes = heard(play_alone(excerpt.score.notes, program).notes, excerpt.seconds)
    family = GM_FAMILIES[program // PROGRAMS_IN_FAMILY]
    return PromptedClip(excerpt.name, family, replace(excerpt.score, notes=notes), excerpt.seconds)


@dataclass(frozen=True)
class FamilySchool:
    """Where an ear learns the GM families: training scores, an equal share by each soundfont, each heard as it is
    rendered and through the codec, so that what a codec takes away is not taken for another instrument."""

    items: Sequence[Item]
    choice: Choice
    soundfonts: Sequence[Path]
    codec: Codec
    workers: Workers
    failed: Failed

    def by_family(self, embed: Embed) -> LinearClassifier:
        """Fitted on `family_clips`: one class a family. Raises InputError if there are too few scores."""
        import numpy as np

        from hsmad_cli.evaluation.linear_classifier import linear_discriminant
        from hsmad_cli.symbolic.notes import GM_FAMILIES

        clips = self._enough(list(family_clips(self.items, self.choice, self.failed)), len(GM_FAMILIES))
        classes = np.array([GM_FAMILIES.index(clip.kind) for clip in clips])
        return linear_discriminant(GM_FAMILIES, self._embeddings(clips, embed), np.tile(classes, 2))

    def by_program(self, embed: Embed) -> LinearClassifier:
        """Fitted on `program_clips`: one class a program; a family is the best of its programs. Raises InputError."""
        import numpy as np

        from hsmad_cli.evaluation.linear_classifier import LinearClassifier, linear_discriminant
        from hsmad_cli.symbolic.notes import GM_FAMILIES

        clips = self._enough(list(program_clips(self.items, self.choice, self.failed)), N_PROGRAMS)
        classes = np.arange(len(clips)) % N_PROGRAMS
        names, embeddings = [str(program) for program in range(N_PROGRAMS)], self._embeddings(clips, embed)
        programs = linear_discriminant(names, embeddings, np.tile(classes, 2), PROGRAM_SHRINKAGE)
        return LinearClassifier(GM_FAMILIES, programs.weights, programs.bias)

    def _enough(self, clips: list[PromptedClip], n_classes: int) -> list[PromptedClip]:
        from hsmad_cli.errors import InputError

        n = len(clips) // n_classes
        if n < 2:
            raise InputError(f"{n} ensembles of the split {self.choice.split} to learn the families by, 2 are needed")
        return clips

    def _embeddings(self, clips: Sequence[PromptedClip], embed: Embed) -> np.ndarray:
        """What is heard of all clips, [2 len(clips), D]: first as they are rendered, then through the codec."""
        import numpy as np

        rendered, coded = [], []
        shares = np.array_split(np.arange(len(clips)), len(self.soundfonts))
        for soundfont, share in zip(self.soundfonts, shares, strict=True):
            for first in range(0, len(share), BATCH):
                batch = [clips[i] for i in share[first : first + BATCH]]
                sounds = [
                    self.workers.submit(render_reference, soundfont, clip.score.notes, clip.seconds) for clip in batch
                ]
                for sound in sounds:
                    audio = sound.result()
                    rendered.append(embed(audio))
                    coded.append(embed(self.codec.decode(self.codec.encode(audio))[:, : audio.shape[1]]))
        return np.stack(rendered + coded)
