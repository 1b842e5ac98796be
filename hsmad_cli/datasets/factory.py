"""From a manifest to clips: audio, the notes that are heard in it, and what it is called.

A clip is a function of (seed, index of the clip) and of the manifest, soundfonts and options: neither the number of
workers nor their order matters. Scores are rendered; an item with a recording is cut from its recording.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.datasets import augment
from hsmad_cli.datasets.captions import captions
from hsmad_cli.datasets.manifest import Item
from hsmad_cli.datasets.production import draw_production, produce
from hsmad_cli.datasets.recipes import (
    KITS,
    LEVELS,
    OWN,
    SINGLE,
    Orchestration,
    Recipe,
    drums_alone,
    exchange_keys,
    orchestrate,
    play_alone,
    suitable,
)
from hsmad_cli.datasets.scores import read_score
from hsmad_cli.errors import InputError
from hsmad_cli.files.audio import read_audio
from hsmad_cli.symbolic.caption import facts
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH, NoteTable, Score
from hsmad_cli.symbolic.words import genre_words
from hsmad_cli.synth.engine import Mix
from hsmad_cli.synth.engines import ENGINES, Engine, EngineName, build_engine
from hsmad_cli.synth.schedule import playable

VERSION = 5
ATTEMPTS = 20
LEAST_NOTES = 8
SPARE = 1.15
_NOISES = range(119, 128)
_NOISE_WEIGHT, _PIANO_SHARE = 0.5, 0.25
_DRUM_STYLE_WEIGHT = 4.0
_STANDARD_KIT_SHARE, _EXCHANGE_SHARE = 0.3, 0.5


@dataclass(frozen=True)
class FactoryOptions:
    """What clips are made of. Shares are probabilities; what is left of own + recipe is for single programs.

    seconds: length of a clip; sample_rate: Hz. flat: share of clips with neither loosened timing nor dynamics. pedal:
    share of those whose pianos, if they have any, get a sustain pedal. siblings: how many clips in a row are of one
    excerpt; the odd ones are played by recipes that are drawn from those that suit it, none of them twice. drums:
    share of the single programs that are a drum kit, where a score has drums. engine: what renders scores; any: one
    that is drawn for each clip.
    """

    seconds: float = 48.0
    sample_rate: int = SAMPLE_RATE
    own_share: float = 0.4
    recipe_share: float = 0.32
    captions: int = 6
    transpose_share: float = 0.6
    stretch_share: float = 0.5
    drop_share: float = 0.25
    double_share: float = 0.06
    flat_share: float = 0.1
    pedal_share: float = 0.4
    siblings: int = 1
    drums_share: float = 0.5
    engine: Literal[EngineName, "any"] = "fluidsynth"

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


class Engines(dict[tuple[EngineName, str], Engine]):
    """Engines by name and soundfont, each loaded when it is first asked for."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self._sample_rate = sample_rate

    def __missing__(self, key: tuple[EngineName, str]) -> Engine:
        self[key] = build_engine(*key, self._sample_rate)
        return self[key]


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


def clip_of(plan: Plan, index: int, engines: Mapping[tuple[EngineName, str], Engine]) -> Clip:
    """Clip `index` of a plan; an item that cannot be used gives way to another, drawn from (seed, excerpt, attempt).

    Raises InputError, the last one met, if 20 items in a row cannot be used.
    """
    excerpt, sibling = divmod(index, plan.options.siblings)
    for attempt in range(ATTEMPTS):
        generator = np.random.default_rng([plan.seed, excerpt, attempt])
        item = plan.items[int(generator.choice(len(plan.items), p=plan.item_weights))]
        soundfont = plan.soundfonts[int(generator.integers(len(plan.soundfonts)))]
        try:
            engine = engines[_engine_name(plan.options, generator), soundfont]
            return make_clip(item, generator, engine, plan.options, sibling=sibling)
        except InputError as error:
            failure = error
    raise InputError(f"{ATTEMPTS} items in a row cannot be used; the last: {failure}", failure.hint)


def _engine_name(options: FactoryOptions, generator: np.random.Generator) -> EngineName:
    return ENGINES[int(generator.integers(len(ENGINES)))] if options.engine == "any" else options.engine


def make_clip(
    item: Item,
    generator: np.random.Generator,
    engine: Engine,
    options: FactoryOptions,
    recipe: Recipe | None = None,
    sibling: int = 0,
) -> Clip:
    """A clip of an item, in the orchestration of `recipe`, or in one that is drawn: for each `sibling` another.

    Raises InputError if the item cannot be read, or has too few notes.
    """
    score = read_score(item)
    if item.audio is not None:
        return _recorded_clip(item, score, generator, options)
    score, complete = _excerpt(score, generator, options)
    score = augment.crop(_play(score, generator, options), 0.0, options.seconds)
    if options.siblings > 1:
        turn, generator = _turn(score.notes, sibling, generator, options.siblings)
        recipe = recipe or turn
    kind, played = _orchestration(score, generator, options, recipe)
    score = replace(score, notes=played.notes)
    if generator.uniform() < options.pedal_share:
        score = augment.add_pedal(score, generator)
    style = kind.words if isinstance(kind, Recipe) else genre_words(item.genre) if kind == OWN and complete else ()
    return perform(item, score, kind, played.roles, style, generator, engine, options)


def perform(
    item: Item,
    score: Score,
    kind: Recipe | str,
    roles: Mapping[int, str],
    style: Sequence[str],
    generator: np.random.Generator,
    engine: Engine,
    options: FactoryOptions,
) -> Clip:
    """The clip of an orchestrated score: recorded in a way that suits `kind`, and named, with words for its style.

    Raises InputError if none of its notes can be heard.
    """
    notes = heard(score.notes, options.seconds)
    score = replace(score, notes=notes)
    suits = (kind.rooms, kind.tones, kind.width, kind.effects) if isinstance(kind, Recipe) else ((), (), (), ())
    production = draw_production(*suits, generator)
    mix = _mix(notes, roles, isinstance(kind, Recipe), production.reverb_send)
    audio = engine.render(notes, options.seconds, mix, production.room)
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


def _turn(
    notes: NoteTable, sibling: int, generator: np.random.Generator, siblings: int
) -> tuple[Recipe | None, np.random.Generator]:
    """What a sibling is played by if it is an odd one, and the draws that it shares with no other."""
    choices = suitable(notes)
    order = generator.choice(len(choices), len(choices), replace=False, p=recipe_weights(choices)) if choices else ()
    own = generator.spawn(siblings)[sibling]
    is_odd = sibling % 2 == 1 and sibling // 2 < len(order)
    return choices[int(order[sibling // 2])] if is_odd else None, own


def _excerpt(score: Score, generator: np.random.Generator, options: FactoryOptions) -> tuple[Score, bool]:
    """A clip's worth of a score and some more, transposed and stretched, and whether all its parts are in it."""
    whole = score
    if generator.uniform() < options.drop_share:
        score = augment.drop_parts(score, generator, 0.3)
    complete = len(np.unique(score.notes.part)) == len(np.unique(whole.notes.part))
    if generator.uniform() < options.double_share:
        score = augment.double_part(score, generator, draw_program(generator))
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
    """A score as somebody plays it: what was typeset gets rubato, dynamics and loose timing."""
    if generator.uniform() < options.flat_share:
        return score
    flat = augment.is_flat(score.notes)
    if flat:
        score = augment.phrase_velocities(score, generator)
    elif generator.uniform() < 0.5:
        score = augment.curve_velocities(score, float(np.exp(generator.uniform(-0.45, 0.45))))
    if flat or generator.uniform() < 0.3:
        score = augment.uneven_velocities(score, generator)
    if not augment.is_typeset(score.notes):
        return score
    if generator.uniform() < 0.12:
        score = augment.swing(score, float(generator.uniform(0.54, 0.68)))
    if generator.uniform() < 0.5:
        score = augment.rubato(score, generator, float(generator.uniform(0.01, 0.06)))
    if generator.uniform() < 0.4:
        score = augment.articulate(score, generator)
    spread_s = float(generator.uniform(0.003, 0.03)) if generator.uniform() < 0.25 else 0.0
    return augment.loosen_timing(score, generator, float(generator.uniform(0.002, 0.012)), spread_s)


def _orchestration(
    score: Score, generator: np.random.Generator, options: FactoryOptions, recipe: Recipe | None
) -> tuple[Recipe | str, Orchestration]:
    notes, u = score.notes, generator.uniform()
    choices = suitable(notes)
    if recipe is not None:
        return recipe, orchestrate(notes, recipe, generator)
    if u < options.own_share:
        return OWN, Orchestration(notes, {})
    if choices and u < options.own_share + options.recipe_share:
        recipe = draw_recipe(choices, generator)
        return recipe, orchestrate(notes, recipe, generator)
    return SINGLE, _single(notes, generator, options)


def _single(notes: NoteTable, generator: np.random.Generator, options: FactoryOptions) -> Orchestration:
    """One program alone, or one drum kit: always where nothing else plays, often where it has enough to do."""
    enough = int(notes.is_drum.sum()) >= LEAST_NOTES
    if not (notes.is_drum.all() or (enough and generator.uniform() < options.drums_share)):
        return play_alone(notes, draw_program(generator))
    if generator.uniform() < _EXCHANGE_SHARE:
        notes = exchange_keys(notes, generator)
    return drums_alone(notes, draw_kit(generator))


def draw_recipe(choices: Sequence[Recipe], generator: np.random.Generator) -> Recipe:
    """One of these, by `recipe_weights`."""
    return choices[int(generator.choice(len(choices), p=recipe_weights(choices)))]


def recipe_weights(choices: Sequence[Recipe]) -> np.ndarray:
    """Probability of each recipe; styles that need drums are more likely, since few scores have any."""
    weights = np.array([_DRUM_STYLE_WEIGHT if "drums" in recipe.needs else 1.0 for recipe in choices])
    return weights / weights.sum()


def draw_program(generator: np.random.Generator) -> int:
    """One of the 128 programs, for what is played alone or doubled: often the grand piano, less often a noise."""
    if generator.uniform() < _PIANO_SHARE:
        return 0
    weights = np.ones(128)
    weights[_NOISES] = _NOISE_WEIGHT
    return int(generator.choice(128, p=weights / weights.sum()))


def draw_kit(generator: np.random.Generator) -> int:
    """The program of one of KITS; often the standard kit."""
    return KITS[0] if generator.uniform() < _STANDARD_KIT_SHARE else KITS[int(generator.integers(1, len(KITS)))]


def heard(notes: NoteTable, seconds: float) -> NoteTable:
    """The notes as they are heard: inside the clip and 21..108, one strike of a key at a time."""
    audible = (notes.pitch >= LOWEST_PITCH) & (notes.pitch <= HIGHEST_PITCH) & (notes.onset_s < seconds)
    notes = playable(notes.select(audible))
    if not len(notes):
        raise InputError("no notes are left in the clip")
    return notes


def _mix(notes: NoteTable, roles: Mapping[int, str], balanced: bool, reverb: int) -> dict[int, Mix]:
    """Every instrument in its seat; with a recipe, every role at its level."""
    mix = {}
    for part in np.unique(notes.part).tolist():
        mine = notes.part == part
        is_drum = bool(notes.is_drum[mine][0])
        pan = 64 if is_drum else instruments()[int(notes.program[mine][0])].seat
        role = "drums" if is_drum else roles.get(part, "harmony")
        mix[part] = Mix(volume=LEVELS[role] if balanced else 100, pan=pan, reverb=reverb)
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
    notes = heard(excerpt.notes, options.seconds)
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
