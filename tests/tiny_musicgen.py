"""A random MusicGen of a few thousand weights, laid out in a folder as the published ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = ("<pad>", "</s>", "<unk>", "jazz", "piano", "warm", "strings")
N_CODES = 16
RATE, HOP, N_CODEBOOKS = 1000, 100, 2


def save_tiny_musicgen(folder: Path, melody: bool = False, channels: int = 1, seed: int = 0) -> Any:
    """The model that was saved; it plays 10 frames a second at 1 kHz."""
    import torch
    import transformers

    kind = "MusicgenMelody" if melody else "Musicgen"
    text = {"model_type": "t5", "vocab_size": 8, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    codec = {
        "model_type": "encodec", "sampling_rate": RATE, "num_filters": 2, "hidden_size": 8, "codebook_dim": 8,
        "upsampling_ratios": [20, 5], "codebook_size": N_CODES, "num_lstm_layers": 1, "target_bandwidths": [0.08],
    }  # fmt: skip
    decoder = {
        "vocab_size": N_CODES, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16,
        "num_codebooks": N_CODEBOOKS * channels, "audio_channels": channels, "initializer_factor": 0.5,
        "pad_token_id": N_CODES, "bos_token_id": N_CODES, "max_position_embeddings": 64,
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(text_encoder=text, audio_encoder=codec, decoder=decoder)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()
        for layer in model.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
    special = {"pad_token_id": N_CODES, "bos_token_id": N_CODES, "decoder_start_token_id": N_CODES}
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, guidance_scale=3.0, max_length=1500, **special
    )
    model.save_pretrained(folder)
    extractor = (
        transformers.MusicgenMelodyFeatureExtractor(sampling_rate=RATE, hop_length=128, n_fft=512)
        if melody
        else transformers.EncodecFeatureExtractor(sampling_rate=RATE)
    )
    extractor.save_pretrained(folder)
    _save_tokenizer(folder)
    return model


def _save_tokenizer(folder: Path) -> None:
    import tokenizers
    import transformers

    words = tokenizers.models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
