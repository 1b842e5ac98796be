"""The phrasing stage: the space stays, and sentences move to what they mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from hsmad_cli.config import Config, StyleConfig, TrainConfig
from hsmad_cli.datasets.recipes import recipes
from hsmad_cli.datasets.sentences import learnt_phrases
from hsmad_cli.files.checkpoint import file_sha256, halved, save_checkpoint, style_space
from hsmad_cli.model.style_encoder import AudioTextModel, BuiltinStyleEncoder, scaled
from hsmad_cli.model.tokenizer import words_of
from hsmad_cli.training.lexicon import OF_NEXT_NAME, Lexicon, contains_held_out
from hsmad_cli.training.loop import train
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.stages.phrasing import BESIDE_A_NAME, OF_LEXICON, PhrasingStage, doubled_to, more_words

CPU = torch.device("cpu")
WORDS = ["church", "jazz", "organ", "piano", "quiet", "trio"]
CAPTIONS = ["jazz trio", "church organ", "quiet piano", "piano trio"]
RATES = {"sample_rate": 44100, "hop_length": 882}
STYLE = StyleConfig(width=16, text_width=32, depth=1, heads=2, vocabulary=4096, max_tokens=24, audio_channels=(4, 8))


def stage(lexicon: Lexicon | None = None) -> PhrasingStage:
    torch.manual_seed(0)
    teacher = AudioTextModel(STYLE, WORDS, **RATES)
    config = Config(
        train_phrasing=TrainConfig(batch=32, learning_rate=3e-3, warmup=5, ema=0.5, precision="fp32"),
    )
    return PhrasingStage(config, CAPTIONS, teacher, RATES, "the space", CPU, lexicon)


def test_before_training_a_caption_means_what_it_meant() -> None:
    taught = stage()
    texts = [*CAPTIONS, "zzyzx trio"]
    torch.testing.assert_close(taught.model.text.encode(texts), taught.teacher.encode(texts))
    assert taught.model.text.config.max_tokens == 96
    assert taught.words[: len(WORDS)] == WORDS
    assert "please" in taught.words


def test_a_lexicon_brings_its_words_and_before_training_all_means_what_it_meant() -> None:
    taught = stage(Lexicon(["rainy harbour", "zither"], scaled(torch.eye(2, STYLE.width))))
    texts = [*CAPTIONS, "zzyzx trio", "vrooqel"]
    torch.testing.assert_close(taught.model.text.encode(texts), taught.teacher.encode(texts))
    assert {"rainy", "harbour", "zither"} < set(taught.words)
    assert taught.model.text.config.vocabulary == 2 * STYLE.vocabulary


def test_two_stages_of_one_teacher_begin_alike_whatever_the_random_state() -> None:
    lexicon = Lexicon(["zither"], scaled(torch.ones(1, STYLE.width)))
    torch.manual_seed(0)
    teacher = AudioTextModel(STYLE, WORDS, **RATES)
    one, other = (PhrasingStage(Config(), CAPTIONS, teacher, RATES, "the space", CPU, lexicon) for _ in range(2))
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_vocabulary_grows_on_a_gpu_too() -> None:
    teacher = AudioTextModel(STYLE, WORDS, **RATES)
    lexicon = Lexicon(["zither"], scaled(torch.ones(1, STYLE.width)))
    taught = PhrasingStage(Config(), CAPTIONS, teacher, RATES, "the space", torch.device("cuda"), lexicon)
    torch.testing.assert_close(taught.model.text.encode(CAPTIONS), taught.teacher.encode(CAPTIONS))


def test_a_size_is_doubled_until_it_is_enough() -> None:
    assert [doubled_to(8192, size) for size in (64, 3000, 8192, 9000)] == [8192, 12000, 8192, 9000]


def test_a_share_of_the_items_is_of_the_lexicon() -> None:
    meant = scaled(torch.ones(1, STYLE.width))
    taught = stage(Lexicon(["zither"], meant))
    batches = [taught.batch(step, Draw(0, step)) for step in range(20)]
    share = torch.cat([(batch.meant == meant).all(1) for batch in batches]).float().mean()
    assert float(share) == pytest.approx(OF_LEXICON * (1 - BESIDE_A_NAME), abs=0.06)


def test_beside_a_name_a_phrase_only_colours_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.training.stages.phrasing.BESIDE_A_NAME", 1.0)
    meant = scaled(torch.ones(1, STYLE.width))
    lexicon = Lexicon(["zither"], meant)
    taught = stage(lexicon)
    forms = set()
    for seed in range(40):
        said, combined = taught.of_lexicon(lexicon, np.random.default_rng(seed))
        name = said.replace("zither", "").strip(", ")
        forms.add(said.replace(name, "name"))
        expected = functional.normalize(taught.teacher.encode([name])[0] + OF_NEXT_NAME * meant[0], dim=0)
        torch.testing.assert_close(combined, expected * STYLE.width**0.5)
    assert forms == {"name, zither", "name zither", "zither, name", "zither name"}


def test_no_pair_says_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.training.stages.phrasing.BESIDE_A_NAME", 1.0)
    held_out = recipes()[0].held_out[0]
    start, end = held_out.rsplit(" ", 1)
    monkeypatch.setattr("hsmad_cli.training.stages.phrasing.names_of_captions", lambda: [end])
    lexicon = Lexicon([start], scaled(torch.ones(1, STYLE.width)))
    taught = stage(lexicon)
    said = {taught.of_lexicon(lexicon, np.random.default_rng(seed))[0] for seed in range(40)}
    assert start in said
    assert not any(contains_held_out(each) for each in said)
    assert contains_held_out(f"some {held_out}, please")


def test_a_small_vocabulary_takes_as_many_words_as_it_has_room_for() -> None:
    words = more_words(WORDS, learnt_phrases(), vocabulary=32)
    assert len(words) == 32 - 8 - 2
    assert words[: len(WORDS)] == WORDS
    assert {"the", "a", "with"} < set(words)
    assert more_words(WORDS, learnt_phrases(), vocabulary=10) == WORDS


def test_however_full_a_lexicon_is_no_word_that_is_taught_by_hand_stays_unknown() -> None:
    often = [f"zither{n} zither{n}" for n in range(7000)]
    taught = stage(Lexicon(often, scaled(torch.ones(len(often), STYLE.width))))
    assert len(taught.words) < len(often)
    assert {word for phrase in learnt_phrases() for word in words_of(phrase)} <= set(taught.words)


def test_a_batch_is_a_function_of_the_draw() -> None:
    taught = stage()
    one, again, other = (taught.batch(3, Draw(seed, 3)) for seed in (0, 0, 1))
    assert torch.equal(one.tokens, again.tokens)
    assert not torch.equal(one.meant, other.meant)


def test_sentences_come_to_mean_their_captions_and_the_audio_tower_stays(tmp_path: Path) -> None:
    taught = stage()
    before = {name: tensor.clone() for name, tensor in taught.model.state_dict().items()}
    sentences = [f"could you make it {caption}, with a smile" for caption in CAPTIONS]

    def agreement() -> float:
        return float((taught.model.text.encode(sentences) * taught.teacher.encode(CAPTIONS)).mean(1).min())

    at_first = agreement()
    settings = TrainConfig(
        steps=120, batch=32, learning_rate=3e-3, warmup=5, ema=0.5, precision="fp32", save_every=10**6
    )
    train(taught, settings, tmp_path, workers=Workers(CPU))
    assert agreement() > max(0.9, at_first)
    after = taught.model.state_dict()
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    assert same == {name for name in after if not name.startswith("text.")}


def test_the_space_of_a_file_is_that_of_its_teacher(tmp_path: Path) -> None:
    encoder = BuiltinStyleEncoder(STYLE, WORDS)
    tensors = {f"text.{name}": tensor for name, tensor in halved(encoder.state_dict()).items()}
    first, later = tmp_path / "first.safetensors", tmp_path / "later.safetensors"
    save_checkpoint(first, tensors, {"kind": "style"})
    save_checkpoint(later, tensors, {"kind": "style", "space_sha256": style_space(first)})
    assert style_space(first) == style_space(later) == file_sha256(first) != file_sha256(later)
