"""The listening test hides what it must, and its scores are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.evaluation.listening import answer_key, blind_clips, opinion_score, opinion_scores, page

SYSTEMS = {name: [Path(f"/{name}/{piece}.wav") for piece in ("a", "b", "c")] for name in ("ours", "theirs")}


def test_the_interval_is_students_t_by_hand():
    """Ratings 2, 3, 3, 4: mean 3, s = sqrt(2 / 3), t(0.975, 3) = 3.182446."""
    score = opinion_score([2, 3, 3, 4])
    assert (score.mos, score.n) == (3, 4)
    assert (3 - score.low, score.high - 3) == pytest.approx(2 * (3.182446 * (2 / 3) ** 0.5 / 2,))


def test_the_interval_stays_on_the_scale():
    assert opinion_score([3, 4, 5]).high == 5
    assert opinion_score([1, 2, 3]).low == 1


def test_a_single_rating_has_no_interval():
    score = opinion_score([4])
    assert (score.mos, score.low, score.high, score.n) == (4, None, None, 1)


def test_every_clip_is_played_once_under_a_name_that_tells_nothing():
    clips = blind_clips(SYSTEMS, seed=1)
    assert {(clip.system, clip.piece) for clip in clips} == {(name, piece) for name in SYSTEMS for piece in "abc"}
    text = page(clips)
    assert "ours" not in text
    assert "theirs" not in text
    assert [text.count(f"clips/{clip.blind}") for clip in clips] == [1] * 6


def test_the_same_seed_gives_the_same_test():
    assert blind_clips(SYSTEMS, 1) == blind_clips(SYSTEMS, 1)
    assert [clip.blind for clip in blind_clips(SYSTEMS, 1)] != [clip.blind for clip in blind_clips(SYSTEMS, 2)]


def test_systems_with_different_pieces_are_refused():
    with pytest.raises(InputError, match="theirs: 2 clips"):
        blind_clips({"ours": SYSTEMS["ours"], "theirs": SYSTEMS["theirs"][:2]}, 0)


def test_ratings_find_their_system():
    clips = blind_clips(SYSTEMS, 0)
    listeners = [{clip.blind: 5 if clip.system == "ours" else low for clip in clips} for low in (1, 3)]
    scores = opinion_scores(answer_key(clips), listeners)
    assert list(scores) == ["ours", "theirs"]
    assert (scores["ours"].mos, scores["theirs"].mos, scores["theirs"].n) == (5, 2, 6)


@pytest.mark.parametrize("rating", [{"nobody.wav": 3}, {"clip.wav": 6}, {"clip.wav": "good"}])
def test_ratings_that_make_no_sense_are_refused(rating):
    with pytest.raises(InputError):
        opinion_scores({"clip.wav": {"system": "ours", "piece": "a"}}, [rating])


def test_questions_are_escaped():
    assert "a &lt; b" in page([], question="a < b")
