"""From a manifest to clips: audio, the notes that are heard in it, and what it is called.

A clip is a function of (seed, index of the clip) and of the manifest, soundfonts and options: neither the number of
workers nor their order matters. Scores are rendered; an item with a recording is cut from its recording.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsmad_cli.datasets import augment
from hsmad_cli.datasets.captions import captions, facts, genre_words
from hsmad_cli.datasets.instruments import instruments
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.datasets.production import draw_production, produce
from hsmad_cli.datasets.recipes import LEVELS, OWN, SINGLE, Orchestration, Recipe, orchestrate, play_alone, suitable
from hsmad_cli.errors import InputError
from hsmad_cli.files.audio import read_audio
from hsmad_cli.files.midi import read_chords, read_midi
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, NoteTable, Score
from hsmad_cli.synth.engine import Mix, Synthesizer
from hsmad_cli.synth.schedule import playable

VERSION = 1
ATTEMPTS = 20
LEAST_NOTES = 8
SPARE = 1.15
_NOISES = range(119, 128)
_NOISE_WEIGHT = 0.2
_DRUM_STYLE_WEIGHT = 4.0


@dataclass(frozen=True)
class FactoryOptions:
    """What clips are made of. Shares are probabilities; what is left of own + recipe is for single programs.

    seconds: length of a clip; sample_rate: Hz. flat: share of clips with neither loosened timing nor dynamics.
    """

    seconds: float = 48.0
    sample_rate: int = 44100
    own_share: float = 0.5
    recipe_share: float = 0.36
    captions: int = 6
    transpose_share: float = 0.6
    stretch_share: float = 0.5
    drop_share: float = 0.25
    flat_share: float = 0.25

    @property
    def n_samples(self) -> int:
        return round(self.seconds * self.sample_rate)


@dataclass(frozen=True)
class Clip:
    """One clip. audio: int16 [2, n]. notes: exactly what is heard, times from the first sample; notes that sound across
    the start are struck again at 0. score: the notes with tempo, beats, chords and pedal. captions: all true of it.
    recipe: its name, "own", or "single". tags: attributes for telling how like two clips are, e.g. "room:hall".
    """

    item_id: str
    audio: np.ndarray
    notes: NoteTable
    score: Score
    captions: tuple[str, ...]
    recipe: str
    soundfont: str
    tags: tuple[str, ...] = ()


class Engines(dict[str, Synthesizer]):
    """Synthesizers by soundfont, each loaded when it is first asked for."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._sample_rate = sample_rate

    def __missing__(self, soundfont: str) -> Synthesizer:
        self[soundfont] = Synthesizer(soundfont, self._sample_rate)
        return self[soundfont]


@dataclass(frozen=True)
class Plan:
    """All that decides the clips: their number, and from what and how they are made."""

    items: tuple[Item, ...]
    soundfonts: tuple[str, ...]
    n_clips: int
    seed: int
    options: FactoryOptions = FactoryOptions()

    @functools.cached_property
    def item_weights(self) -> np.ndarray:
        """Probability of each item: the square root of how many clips it could fill, from half a clip to four."""
        fill = np.clip([item.duration_s / self.options.seconds for item in self.items], 0.5, 4.0)
        return np.sqrt(fill) / np.sqrt(fill).sum()


def clip_of(plan: Plan, index: int, engines: Mapping[str, Synthesizer]) -> Clip:
    """Clip `index` of a plan; an item that cannot be used gives way to another, drawn from (seed, index, attempt).

    Raises InputError, the last one met, if 20 items in a row cannot be used.
    """
    for attempt in range(ATTEMPTS):
        generator = np.random.default_rng([plan.seed, index, attempt])
        item = plan.items[int(generator.choice(len(plan.items), p=plan.item_weights))]
        soundfont = plan.soundfonts[int(generator.integers(len(plan.soundfonts)))]
        try:
            return make_clip(item, generator, engines[soundfont], plan.options)
        except InputError as error:
            failure = error
    raise InputError(f"{ATTEMPTS} items in a row cannot be used; the last: {failure}", failure.hint)


def make_clip(
    item: Item,
    generator: np.random.Generator,
    engine: Synthesizer,
    options: FactoryOptions,
    recipe: Recipe | None = None,
) -> Clip:
    """A clip of an item, in the orchestration of `recipe`, or in one that is drawn.

    Raises InputError if the item cannot be read, or has too few notes.
    """
    score = read_score(item)
    if item.audio is not None:
        return _recorded_clip(item, score, generator, options)
    score, complete = _excerpt(score, generator, options)
    score = augment.crop(_play(score, generator, options), 0.0, options.seconds)
    kind, played = _orchestration(score, generator, options, recipe)
    notes = _heard(played.notes, options.seconds)
    score = replace(score, notes=notes)
    style = kind.words if isinstance(kind, Recipe) else genre_words(item.genre) if kind == OWN and complete else ()
    suits = (kind.rooms, kind.tones, kind.width) if isinstance(kind, Recipe) else ((), (), ())
    production = draw_production(*suits, generator)
    audio = engine.render(notes, options.seconds, _mix(notes, played, isinstance(kind, Recipe)), production.room)
    audio = produce(audio, production, notes, options.sample_rate)
    name = kind.name if isinstance(kind, Recipe) else kind
    return Clip(
        item_id=item.id,
        audio=_to_int16(audio),
        notes=notes,
        score=score,
        captions=captions(facts(score, style, production.room_name, production.tones), generator, options.captions),
        recipe=name,
        soundfont=engine.soundfont.name,
        tags=_tags(name, item.genre, notes, production.room_name, production.tones),
    )


def read_score(item: Item) -> Score:
    """The score of an item with its annotated chords."""
    score = read_midi(Path(item.midi))
    if item.chords is None:
        return score
    return replace(score, chords=tuple(read_chords(Path(item.chords))))


def _excerpt(score: Score, generator: np.random.Generator, options: FactoryOptions) -> tuple[Score, bool]:
    """A clip's worth of a score and some more, transposed and stretched, and whether all its parts are in it."""
    whole = score
    if generator.uniform() < options.drop_share:
        score = augment.drop_parts(score, generator, 0.3)
    complete = len(np.unique(score.notes.part)) == len(np.unique(whole.notes.part))
    if generator.uniform() < options.transpose_share:
        score = augment.transpose(score, int(generator.integers(-6, 7)))
    if generator.uniform() < options.stretch_share:
        score = augment.stretch(score, float(np.exp(generator.uniform(-0.18, 0.18))))
    seconds = options.seconds * SPARE
    if score.duration_s < seconds:
        score = augment.repeat(score, seconds, float(generator.uniform(0.5, 2.5)))
    for _ in range(ATTEMPTS):
        excerpt = augment.crop(score, _start(score, generator, options.seconds), seconds)
        if len(excerpt.notes) >= LEAST_NOTES:
            return excerpt, complete
    raise InputError(f"fewer than {LEAST_NOTES} notes in {options.seconds:g} s")


def _start(score: Score, generator: np.random.Generator, seconds: float) -> float:
    """Where an excerpt starts: anywhere, but now and then at the first note or so that the ending is in it."""
    latest = max(score.duration_s - seconds, 0.0)
    u = generator.uniform()
    first = max(float(score.notes.onset_s.min()) - generator.uniform(0.0, 1.0), 0.0)
    return min(first, latest) if u < 0.15 else latest if u < 0.25 else float(generator.uniform(0.0, latest))


def _play(score: Score, generator: np.random.Generator, options: FactoryOptions) -> Score:
    """A score as somebody plays it: what was typeset gets rubato, dynamics, loose timing, and now and then a pedal."""
    if generator.uniform() < options.flat_share:
        return score
    if augment.is_flat(score.notes):
        score = augment.phrase_velocities(score, generator)
    elif generator.uniform() < 0.5:
        score = augment.curve_velocities(score, float(np.exp(generator.uniform(-0.45, 0.45))))
    if not augment.is_typeset(score.notes):
        return score
    if generator.uniform() < 0.5:
        score = augment.rubato(score, generator, float(generator.uniform(0.01, 0.06)))
    if generator.uniform() < 0.4:
        score = augment.articulate(score, generator)
    if generator.uniform() < 0.35:
        score = augment.add_pedal(score, generator)
    spread_s = float(generator.uniform(0.003, 0.03)) if generator.uniform() < 0.25 else 0.0
    return augment.loosen_timing(score, generator, float(generator.uniform(0.002, 0.012)), spread_s)


def _orchestration(
    score: Score, generator: np.random.Generator, options: FactoryOptions, recipe: Recipe | None
) -> tuple[Recipe | str, Orchestration]:
    notes, u = score.notes, generator.uniform()
    choices = suitable(notes)
    if recipe is not None:
        return recipe, orchestrate(notes, recipe, generator)
    if u < options.own_share or not choices:
        return OWN, Orchestration(notes, {})
    if u < options.own_share + options.recipe_share:
        recipe = draw_recipe(choices, generator)
        return recipe, orchestrate(notes, recipe, generator)
    return SINGLE, play_alone(notes, draw_program(generator))


def draw_recipe(choices: Sequence[Recipe], generator: np.random.Generator) -> Recipe:
    """One of these; styles that need drums more often, since few scores have any."""
    weights = np.array([_DRUM_STYLE_WEIGHT if "drums" in recipe.needs else 1.0 for recipe in choices])
    return choices[int(generator.choice(len(choices), p=weights / weights.sum()))]


def draw_program(generator: np.random.Generator) -> int:
    """One of the 128 programs; those that are noises more rarely."""
    weights = np.ones(128)
    weights[_NOISES] = _NOISE_WEIGHT
    return int(generator.choice(128, p=weights / weights.sum()))


def _heard(notes: NoteTable, seconds: float) -> NoteTable:
    """The notes as they are heard: inside the clip and 21..108, one strike of a key at a time."""
    audible = (notes.pitch >= LOWEST_PITCH) & (notes.pitch <= HIGHEST_PITCH) & (notes.onset_s < seconds)
    notes = playable(notes.select(audible))
    if not len(notes):
        raise InputError("no notes are left in the clip")
    return notes


def _mix(notes: NoteTable, played: Orchestration, balanced: bool) -> dict[int, Mix]:
    """Every instrument in its seat; with a recipe, every role at its level."""
    mix = {}
    for part in np.unique(notes.part).tolist():
        mine = notes.part == part
        is_drum = bool(notes.is_drum[mine][0])
        pan = 64 if is_drum else instruments()[int(notes.program[mine][0])].seat
        role = "drums" if is_drum else played.roles.get(part, "harmony")
        mix[part] = Mix(volume=LEVELS[role] if balanced else 100, pan=pan, reverb=64)
    return mix


def _to_int16(audio: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16)


def _tags(recipe: str, genre: str, notes: NoteTable, room: str, tones: Sequence[str]) -> tuple[str, ...]:
    style = f"genre:{genre}" if recipe in (OWN, SINGLE) else f"recipe:{recipe}"
    programs = [f"program:{program}" for program in np.unique(notes.program[~notes.is_drum]).tolist()]
    kits = [f"kit:{kit}" for kit in np.unique(notes.program[notes.is_drum]).tolist()]
    return (style, f"room:{room}", *(f"tone:{tone}" for tone in tones), *programs, *kits)


def _recorded_clip(item: Item, score: Score, generator: np.random.Generator, options: FactoryOptions) -> Clip:
    """A cut from a recording, with the part of the score that sounds in it; one shorter than a clip ends in silence."""
    audio = read_audio(Path(str(item.audio)), options.sample_rate)
    latest = max(audio.shape[1] - options.n_samples, 0)
    start = int(generator.integers(0, latest + 1))
    cut = np.zeros((2, options.n_samples), np.float32)
    piece = audio[:, start : start + options.n_samples]
    cut[:, : piece.shape[1]] = piece
    excerpt = augment.crop(score, start / options.sample_rate, options.seconds)
    notes = _heard(excerpt.notes, options.seconds)
    excerpt = replace(excerpt, notes=notes)
    spoken = (item.caption,) if item.caption else genre_words(item.genre)
    known = facts(excerpt, genre_words(item.genre), "", ())
    texts = tuple(dict.fromkeys((*spoken, *captions(known, generator, options.captions))))
    return Clip(item.id, _to_int16(cut), notes, excerpt, texts, OWN, "", _tags(OWN, item.genre, notes, "", ()))


def clips(plan: Plan) -> Iterator[Clip]:
    """All clips of a plan, one after the other, in this process."""
    engines = Engines(plan.options.sample_rate)
    for index in range(plan.n_clips):
        yield clip_of(plan, index, engines)
