"""The README's table: `python examples/score.py MIDI_PACK SOUNDFONT [--codec-only]`.

Ten-second excerpts of groups that no training saw are rendered, coded, and generated with the shipped weights and the
defaults of `hsmad sample`; Basic Pitch says how many of the written onsets it hears in each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from hsmad_cli.config import SampleConfig
from hsmad_cli.datasets import augment
from hsmad_cli.datasets.manifest import Item, read_pack
from hsmad_cli.evaluation.evaluate import Piece, evaluate_many
from hsmad_cli.files.midi import read_midi
from hsmad_cli.pipeline import Pipeline
from hsmad_cli.symbolic.caption import caption
from hsmad_cli.symbolic.notes import Score
from hsmad_cli.synth.engine import Synthesizer

EXCERPT_S, TAIL_S, SKIPPED_S = 10.0, 0.5, 20.0
LEAST_NOTES = 8
AUDIBLE_F1 = 0.4
PIANO = ({"giantmidi"}, {"pop909"})
ENSEMBLES = {"quartets", "lieder", "hymns", "mutopia", "arranged-synth"}
BANDS = {"arranged-band", "freedoom"}


def source(item: Item) -> str:
    return item.id.split("/")[0]


def chosen(items: list[Item], seed: int = 5) -> dict[str, list[Item]]:
    """Twelve piano pieces of tier B; twelve ensembles and eight bands of the validation and test splits."""
    generator = np.random.default_rng(seed)

    def pick(wanted: Callable[[Item], bool], n: int) -> list[Item]:
        candidates = [item for item in items if wanted(item)]
        return [candidates[index] for index in generator.permutation(len(candidates))[:n]]

    piano = [item for names in PIANO for item in pick(lambda item, names=names: source(item) in names, 6)]
    others = pick(lambda item: item.split != "train" and source(item) in ENSEMBLES, 12)
    others += pick(lambda item: item.split != "train" and source(item) in BANDS, 8)
    return {"piano": piano, "ensembles and bands": others}


def excerpt(item: Item) -> Score:
    score = read_midi(item.midi)
    start = max(0.0, min(SKIPPED_S, score.duration_s - EXCERPT_S - 12.0))
    cut = augment.crop(score, start, EXCERPT_S)
    return replace(cut, notes=cut.notes.select(cut.notes.onset_s < EXCERPT_S - TAIL_S))


def pieces(items: list[Item], synthesizer: Synthesizer, pipeline: Pipeline, generate: bool) -> Iterator[Piece]:
    for item in items:
        score = excerpt(item)
        if len(score.notes) < LEAST_NOTES:
            continue
        reference = synthesizer.render(score.notes, EXCERPT_S + TAIL_S)
        n_samples = reference.shape[1]
        coded = pipeline.codec.decode(pipeline.codec.encode(reference))[:, :n_samples]
        audio = coded
        if generate:
            encoded = pipeline.encode(score, "midi")
            audio = pipeline.sample(encoded, caption(score), SampleConfig(), seed=0)[:, :n_samples]
        yield Piece(item.id, audio, score.notes, reference=reference, codec=coded, end_s=EXCERPT_S)


def main(pack: str, soundfont: str, generate: bool) -> None:
    pipeline, synthesizer = Pipeline.load(device="auto"), Synthesizer(soundfont)
    print("| | n | reference | codec | generated | generated / codec |\n|---|---|---|---|---|---|")
    for name, items in chosen(read_pack(pack)).items():
        rows, _ = evaluate_many(pieces(items, synthesizer, pipeline, generate), "basic-pitch")
        scores = [
            [row.ceilings["reference"].onset.f1, row.ceilings["codec"].onset.f1, row.generated.onset.f1] for row in rows
        ]
        heard = [score for score in scores if score[0] >= AUDIBLE_F1]
        reference, codec, generated = np.mean(heard, axis=0)
        ratio = generated / codec
        print(f"| {name} | {len(heard)} | {reference:.3f} | {codec:.3f} | {generated:.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--codec-only" not in sys.argv)
