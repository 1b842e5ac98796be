"""Judge renderings of scores, each beside its ceilings: the same judge on the reference and on codec(reference)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.evaluation.note_scores import HeardNotes, NoteScores, Timing, paired_errors, score_notes
from hsmad_cli.evaluation.statistics import mean_interval, ratio_interval
from hsmad_cli.evaluation.transcriber import choose_judge, load_judge, written_notes
from hsmad_cli.symbolic.notes import NoteTable

Sound = np.ndarray | HeardNotes
CEILINGS = ("reference", "codec")


@dataclass(frozen=True)
class Piece:
    """A rendering and its score. Audio is float32 [2, samples] at 44.1 kHz; sample 0 is `start_s` of the score.

    reference: the rendering to compare with, codec: the same through the codec; either may be what a judge heard in it,
    so that ceilings are judged once for many models. Notes from `end_s` on are not asked for.
    """

    name: str
    audio: Sound
    notes: NoteTable
    reference: Sound | None = None
    codec: Sound | None = None
    start_s: float = 0.0
    end_s: float = np.inf


@dataclass(frozen=True)
class Evaluation:
    """Scores of one piece, and of its ceilings. errors_s: paired onset differences to each ceiling, in seconds."""

    name: str
    judge: str
    seconds: float | None
    generated: NoteScores
    ceilings: dict[str, NoteScores] = field(default_factory=dict)
    paired: dict[str, Timing] = field(default_factory=dict)
    errors_s: dict[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `hsmad transcribe-eval`."""
        return {
            "name": self.name,
            "judge": self.judge,
            "seconds": self.seconds,
            "generated": self.generated.to_json(),
            "ceilings": {key: _without_lists(scores) for key, scores in self.ceilings.items()},
            "versus": {key: self._versus(key) for key in self.ceilings},
        }

    def _versus(self, key: str) -> dict[str, Any]:
        ours, ceiling = self.generated, self.ceilings[key]
        return {
            "onset_f1_ratio": _ratio(ours.onset.f1, ceiling.onset.f1),
            "velocity_correlation_ratio": _ratio(ours.velocity_correlation, ceiling.velocity_correlation),
            "median_absolute_ms_difference": _difference(
                ours.timing.median_absolute_ms, ceiling.timing.median_absolute_ms
            ),
            "bias_ms_difference": _difference(ours.timing.bias_ms, ceiling.timing.bias_ms),
            "paired": asdict(self.paired[key]),
        }


def evaluate(piece: Piece, judge: str = "auto", device: str = "cpu", listed: int = 50) -> Evaluation:
    """Transcribe a rendering and its ceilings with one judge, and score them all against the written notes.

    Raises UsageError when the judge is unknown or not installed.
    """
    name = choose_judge(piece.notes) if judge == "auto" else judge
    listener = load_judge(name, device)

    def hear(sound: Sound) -> HeardNotes:
        return sound if isinstance(sound, HeardNotes) else listener.transcribe(sound)

    written = written_notes(piece.notes, name, piece.start_s, piece.end_s)
    heard = hear(piece.audio)
    baselines = {key: hear(sound) for key in CEILINGS if (sound := getattr(piece, key)) is not None}
    errors = {key: paired_errors(written, heard, baseline) for key, baseline in baselines.items()}
    return Evaluation(
        name=piece.name,
        judge=name,
        seconds=None if isinstance(piece.audio, HeardNotes) else piece.audio.shape[-1] / SAMPLE_RATE,
        generated=score_notes(written, heard, listed),
        ceilings={key: score_notes(written, baseline, listed) for key, baseline in baselines.items()},
        paired={key: Timing.of(*pair) for key, pair in errors.items()},
        errors_s={key: pair[0] for key, pair in errors.items()},
    )


def evaluate_many(
    pieces: Iterable[Piece],
    judge: str = "auto",
    device: str = "cpu",
    workers: int = 1,
    min_reference_f1: float = 0.0,
    done: Callable[[Evaluation], object] = lambda evaluation: None,
) -> tuple[list[Evaluation], dict[str, Any]]:
    """Evaluate many pieces on `workers` threads, in order, and sum them up by `summarise`.

    `done` is called with each evaluation as it becomes available.
    """
    rows = []
    for row in _in_order(lambda piece: evaluate(piece, judge, device, listed=0), pieces, workers):
        rows.append(row)
        done(row)
    return rows, summarise(rows, min_reference_f1)


def _in_order(work: Callable[[Piece], Evaluation], pieces: Iterable[Piece], workers: int) -> Iterator[Evaluation]:
    """Results in order; no more pieces are held at a time than there are workers to take and one to be handed out."""
    waiting: deque[Future[Evaluation]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def summarise(rows: Sequence[Evaluation], min_reference_f1: float = 0.0) -> dict[str, Any]:
    """Means with 95 % intervals for each judge: {judge: {quantity: value or {value, low, high, n}}}.

    Pieces whose reference scores below `min_reference_f1` are left out and counted. Ratios are ratios of means. Paired
    timings pool the notes of all pieces. Quantities that no piece has are None.
    """
    return {
        name: _summary([row for row in rows if row.judge == name], min_reference_f1)
        for name in sorted({row.judge for row in rows})
    }


def _summary(rows: Sequence[Evaluation], min_reference_f1: float) -> dict[str, Any]:
    kept = [row for row in rows if _reference_f1(row) >= min_reference_f1]
    summary: dict[str, Any] = {"n": len(kept), "n_left_out": len(rows) - len(kept)}
    for key in ("onset", "onset_offset", "onset_velocity", "onset_offset_velocity"):
        rates = [getattr(row.generated, key) for row in kept]
        summary[f"{key}_f1"] = _interval_json(mean_interval([rate.f1 for rate in rates if rate is not None]))
    correlations = [row.generated.velocity_correlation for row in kept]
    summary["velocity_correlation"] = _interval_json(mean_interval([r for r in correlations if r is not None]))
    summary["median_absolute_ms"] = _mean([row.generated.timing.median_absolute_ms for row in kept])
    summary["mean_absolute_ms"] = _mean([row.generated.timing.mean_absolute_ms for row in kept])
    summary["bias_ms"] = _mean([row.generated.timing.bias_ms for row in kept])
    summary["versus"] = {
        ceiling: _versus_summary([row for row in kept if ceiling in row.ceilings], ceiling)
        for ceiling in CEILINGS
        if any(ceiling in row.ceilings for row in kept)
    }
    return summary


def _versus_summary(rows: Sequence[Evaluation], ceiling: str) -> dict[str, Any]:
    f1 = [(row.generated.onset.f1, row.ceilings[ceiling].onset.f1) for row in rows]
    velocity = [(row.generated.velocity_correlation, row.ceilings[ceiling].velocity_correlation) for row in rows]
    known = [pair for pair in velocity if pair[0] is not None and pair[1] is not None]
    errors_s = np.concatenate([row.errors_s[ceiling] for row in rows])
    return {
        "onset_f1": _interval_json(mean_interval([below for _, below in f1])),
        "onset_f1_ratio": _interval_json(ratio_interval(*_columns(f1))),
        "velocity_correlation": _interval_json(mean_interval([below for _, below in known if below is not None])),
        "velocity_correlation_ratio": _interval_json(ratio_interval(*_columns(known))),
        "paired": asdict(Timing.of(errors_s, np.zeros(len(errors_s)))),
    }


def _columns(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[float], list[float]]:
    return [above for above, _ in pairs], [below for _, below in pairs]


def _reference_f1(row: Evaluation) -> float:
    return row.ceilings["reference"].onset.f1 if "reference" in row.ceilings else 1.0


def _interval_json(interval: Any) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _difference(first: float | None, second: float | None) -> float | None:
    return first - second if first is not None and second is not None else None


def _without_lists(scores: NoteScores) -> dict[str, Any]:
    return {key: value for key, value in scores.to_json().items() if key not in ("missed", "extra", "late")}
