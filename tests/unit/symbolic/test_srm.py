from __future__ import annotations

from dataclasses import replace
from math import log1p

import numpy as np
import pytest
import torch

from hsmad_cli.symbolic.notes import NoteTable
from hsmad_cli.symbolic.srm import DRUM_LENGTH_S, LAYOUT, NoteTensors, count_frames, hide_families, render_srm

RATE = (64, 1)  # frames a second: whole binary fractions of a second are exact
QUANTUM = 2.0**-16
C4 = 60 - 21


def notes_of(*rows: tuple[float, float, int, int, int, bool]) -> NoteTable:
    """Notes from (onset, offset in frames; pitch; velocity; program; is_drum)."""
    onset, offset, pitch, velocity, program, is_drum = (np.array(column) for column in zip(*rows, strict=True))
    return NoteTable(onset / 64, offset / 64, pitch, velocity, program, is_drum, np.zeros(len(rows)))


def random_notes(seed: int, n: int = 60, frames: int = 64) -> NoteTable:
    draw = np.random.default_rng(seed)
    onset = np.sort(draw.uniform(0, frames, n))
    columns = draw.integers((30, 1, 0), (95, 128, 128), (n, 3)).T
    return NoteTable(onset / 64, (onset + draw.uniform(0.1, 20, n)) / 64, *columns, draw.random(n) < 0.2, np.zeros(n))


def render(table: NoteTable, n_frames: int = 96, start_frame: int = 0, **options: torch.dtype) -> torch.Tensor:
    return render_srm(NoteTensors.from_tables([table]), start_frame, n_frames, RATE, **options)[0]


def test_layout_tiles_the_axis() -> None:
    ends = sorted((group.start, group.stop) for group in LAYOUT)
    assert [start for start, _ in ends] == [0, *(stop for _, stop in ends[:-1])]
    assert LAYOUT.width == ends[-1][1] == 3480


def test_two_notes_by_hand() -> None:
    """A piano note from 2.75 to 5.5 frames, and a softer trumpet on the same pitch from 3.5 to 4.25."""
    soft = 64 / 127
    srm = render(notes_of((2.75, 5.5, 60, 127, 0, False), (3.5, 4.25, 60, 64, 56, False)), 8)

    def planes(group: slice) -> list[float]:
        return srm[:, group][:, C4].tolist()

    assert planes(LAYOUT.union_onset) == pytest.approx([0, 0, 0.75, soft, 0, 0, 0, 0])
    assert planes(LAYOUT.union_position) == pytest.approx([0, 0, 0.25, 0, 0, 0, 0, 0])
    sustain = [0, 0, 0.25, 1 + 0.5 * soft, 1 + 0.25 * soft, 0.5, 0, 0]
    assert planes(LAYOUT.union_sustain) == pytest.approx(sustain, abs=QUANTUM)
    assert planes(LAYOUT.union_age) == pytest.approx([0, 0, 0, 0, log1p(1 / 64), log1p(2 / 64), 0, 0])

    family_onset = srm[:, LAYOUT.family_onset].view(8, 17, 88)
    family_cover = srm[:, LAYOUT.family_cover].view(8, 17, 88)
    assert family_onset[:, 0, C4].tolist() == pytest.approx([0, 0, 0.75, 0.25, 0, 0, 0, 0])
    assert family_cover[:, 0, C4].tolist() == [0, 0, 0.25, 1, 1, 0.5, 0, 0]
    assert family_onset[:, 7, C4].tolist() == pytest.approx([0, 0, 0, soft, 0, 0, 0, 0])
    assert family_cover[:, 7, C4].tolist() == pytest.approx([0, 0, 0, 0.5 * soft, 0.25 * soft, 0, 0, 0], abs=QUANTUM)

    programs = srm[:, LAYOUT.programs]
    assert programs[:, 0].tolist() == [0, 0, 0.25, 1, 1, 0.5, 0, 0]
    assert programs[:, 56].tolist() == [0, 0, 0, 0.5, 0.25, 0, 0, 0]
    assert torch.count_nonzero(srm) == 2 + 1 + 4 + 2 + (2 + 4) + (1 + 2) + (4 + 2)


def test_the_stronger_strike_places_the_onset() -> None:
    strong, weak = (3.25, 9.0, 60, 100, 0, False), (3.5, 9.0, 60, 70, 40, False)
    position = render(notes_of(strong, weak), 8)[3, LAYOUT.union_position][C4]
    assert position == -0.25
    assert render(notes_of(weak, strong), 8)[3, LAYOUT.union_position][C4] == position


def test_transposing_shifts_rows() -> None:
    table = random_notes(1)
    low, high = render(table), render(table.with_columns(pitch=table.pitch + 5))
    for name in ("union_onset", "union_position", "union_sustain", "union_age", "family_onset", "family_cover"):
        rows_low, rows_high = (srm[:, getattr(LAYOUT, name)].view(96, -1, 88) for srm in (low, high))
        assert torch.equal(rows_low[..., :-5], rows_high[..., 5:]), name
    for name in ("programs", "kits", "pedal"):
        assert torch.equal(low[:, getattr(LAYOUT, name)], high[:, getattr(LAYOUT, name)]), name


def test_delaying_by_whole_frames_shifts_frames() -> None:
    table = notes_of((0.25, 9.5, 50, 90, 3, False), (4.75, 12.125, 71, 127, 40, False), (7.5, 8, 38, 80, 0, True))
    early = NoteTensors.from_tables([table], [(np.array([0.25, 0.5]), np.array([1.0, 0.5]))])
    late = replace(early, **{name: getattr(early, name) + 24 / 64 for name in ("onset_s", "offset_s", "pedal_s")})
    assert torch.equal(render_srm(early, 0, 40, RATE), render_srm(late, 24, 40, RATE))
    assert torch.equal(render_srm(early, 0, 40, RATE), render_srm(late, 0, 64, RATE)[:, 24:])


@pytest.mark.parametrize("rate", [(44100, 882), (44100, 512), (75, 1)])
def test_blocks_are_the_whole(rate: tuple[int, int]) -> None:
    pedal = np.linspace(0, 1.4, 9), np.random.default_rng(0).random(9)
    notes = NoteTensors.from_tables([random_notes(2, 200)], [pedal])
    whole = render_srm(notes, 0, 90, rate)
    blocks = torch.cat([render_srm(notes, start, 30, rate) for start in (0, 30, 60)], 1)
    torch.testing.assert_close(blocks, whole, rtol=0, atol=2 * QUANTUM)
    quiet = (whole == 0).all(1)
    assert torch.equal((blocks == 0).all(1), quiet)


def test_item_alone_is_item_in_batch() -> None:
    tables = [random_notes(3, 40), random_notes(4, 90), NoteTable.empty(), random_notes(5, 7)]
    pedals = [(np.array([0.1]), np.array([1.0])), (np.zeros(0), np.zeros(0)), (np.zeros(0), np.zeros(0))]
    pedals.append((np.array([0.0, 0.3, 0.4]), np.array([0.2, 1.0, 0.0])))
    batch = render_srm(NoteTensors.from_tables(tables, pedals), 0, 64, RATE)
    for item, (table, pedal) in enumerate(zip(tables, pedals, strict=True)):
        alone = render_srm(NoteTensors.from_tables([table], [pedal]), 0, 64, RATE)
        assert torch.equal(batch[item], alone[0])


def test_order_of_notes_does_not_matter() -> None:
    table = random_notes(6, 500, 40)
    shuffled = table.select(np.random.default_rng(7).permutation(500))
    assert torch.equal(render(table), render(shuffled))


def test_silence_is_exactly_zero() -> None:
    srm = render(random_notes(8, 2000, 60), 128)
    last_frame = int(random_notes(8, 2000, 60).end_s * 64)
    assert srm[last_frame].count_nonzero() > 0
    assert srm[max(last_frame + 1, 67) :].count_nonzero() == 0


@pytest.mark.parametrize("column", ["onset_s", "offset_s", "velocity"])
def test_gradient_is_the_slope(column: str) -> None:
    """Onset and cover planes are piecewise linear: a small step moves them by exactly the slope."""
    notes = NoteTensors.from_tables(
        [notes_of((2.3, 8.6, 60, 90, 0, False), (5.2, 9.8, 64, 70, 41, False), (3.9, 4.4, 38, 80, 0, True))]
    )
    weights = torch.randn(1, 16, LAYOUT.width, generator=torch.Generator().manual_seed(0))
    weights[..., LAYOUT.union_age] = 0

    def value(x: torch.Tensor) -> torch.Tensor:
        return (render_srm(replace(notes, **{column: x}), 0, 16, RATE) * weights).sum()

    x = getattr(notes, column).clone().requires_grad_()
    value(x).backward()
    step = 4.0 if column == "velocity" else 1 / 1024
    for note in range(3):
        ahead, behind = x.detach().clone(), x.detach().clone()
        ahead[0, note] += step
        behind[0, note] -= step
        slope = (value(ahead) - value(behind)) / (2 * step)
        assert x.grad[0, note].item() == pytest.approx(slope.item(), rel=2e-2, abs=5e-2)


def test_age_has_a_gradient() -> None:
    notes = NoteTensors.from_tables([notes_of((2.5, 8, 60, 90, 0, False))])
    onset = notes.onset_s.clone().requires_grad_()
    render_srm(replace(notes, onset_s=onset), 0, 12, RATE)[0, 6, LAYOUT.union_age].sum().backward()
    age_s = (6.5 - 2.5) / 64
    assert onset.grad.item() == pytest.approx(-1 / (1 + age_s), rel=1e-6)


def test_drums_keep_to_their_planes_and_have_no_end() -> None:
    short, long = (render(notes_of((4.0, end, 38, 127, 40, True)), 32) for end in (4.1, 30.0))
    assert torch.equal(short, long)
    strikes = short[:, LAYOUT.family_onset].view(32, 17, 88)[:, 16, 38 - 21]
    assert strikes.nonzero().flatten().tolist() == [3, 4]
    cover = short[:, LAYOUT.family_cover].view(32, 17, 88)[:, 16, 38 - 21]
    assert cover.sum().item() == pytest.approx(DRUM_LENGTH_S * 64, abs=QUANTUM)
    assert short[:, LAYOUT.kits].count_nonzero(0).tolist() == [0, 0, 0, 0, 0, 7, 0]
    for group in (LAYOUT.union_onset, LAYOUT.union_sustain, LAYOUT.union_age, LAYOUT.programs):
        assert short[:, group].count_nonzero() == 0


def test_hidden_families_are_unnamed_notes() -> None:
    notes = NoteTensors.from_tables([random_notes(9), random_notes(10)])
    named = torch.tensor([[True], [False]]).expand_as(notes.valid)
    hidden = hide_families(render_srm(notes, 0, 64, RATE), torch.tensor([False, True]))
    assert torch.equal(render_srm(notes, 0, 64, RATE, named=named), hidden)
    drums = hidden[1, :, LAYOUT.family_onset].view(64, 17, 88)
    assert drums[:, 16].count_nonzero() > 0
    assert drums[:, :16].count_nonzero() == 0


def test_pedal_is_the_mean_of_each_frame() -> None:
    pedal = np.array([1.25, 2.5, 4.0]) / 64, np.array([1.0, 0.5, 0.0])
    notes = NoteTensors.from_tables([NoteTable.empty()], [pedal])
    assert render_srm(notes, 0, 6, RATE)[0, :, LAYOUT.pedal].flatten().tolist() == [0, 0.75, 0.75, 0.5, 0, 0]
    assert render_srm(notes, 3, 2, RATE)[0, :, LAYOUT.pedal].flatten().tolist() == [0.5, 0]


def test_half_precision_is_the_same_roll_rounded() -> None:
    table = random_notes(11)
    assert torch.equal(render(table, dtype=torch.bfloat16), render(table).bfloat16())


def test_pitches_beyond_the_keyboard_are_not_shown() -> None:
    assert render(notes_of((1, 5, 20, 90, 0, False), (1, 5, 109, 90, 0, False))).count_nonzero() == 0


@pytest.mark.parametrize(
    ("duration_s", "rate", "multiple", "frames"),
    [(1.0, (44100, 882), 1, 50), (1.0, (44100, 882), 16, 64), (1.28, (44100, 882), 16, 64), (1.3, (50, 1), 16, 80),
     (1.0, (44100, 512), 4, 88), (0.0, (50, 1), 16, 16)],
)  # fmt: skip
def test_frames_hold_the_duration(duration_s: float, rate: tuple[int, int], multiple: int, frames: int) -> None:
    assert count_frames(duration_s, rate, multiple) == frames
