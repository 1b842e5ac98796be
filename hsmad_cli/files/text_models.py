"""Text models of transformers, from a local folder or the local hub cache; nothing is ever downloaded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.errors import WeightsError, extra
from hsmad_cli.files.hub import pulled

SENTENCES_AT_ONCE = 256
LEAST_LETTERS = 3
TEXT_MODELS = {"clap": "ClapTextModelWithProjection", "t5": "T5EncoderModel"}


def text_model_folder(encoder: str, folder: str = "") -> Path:
    """Where the weights of a `clap` or `t5` text encoder lie: `folder`, or the local cache. Raises WeightsError."""
    found = Path(folder) if folder else pulled(encoder)
    if found is None or not found.is_dir():
        where = folder or "the local cache"
        raise WeightsError(f"no weights of style encoder {encoder!r} in {where}", f"hsmad weights pull {encoder}")
    return found


def load_text_model(encoder: str, folder: str = "") -> tuple[nn.Module, Callable[..., Any], int]:
    """Model, tokenizer and output width of a `clap` or `t5` text encoder. Raises WeightsError."""
    try:
        import transformers
    except ModuleNotFoundError:
        raise WeightsError(f"style encoder {encoder!r} needs transformers", extra("text")) from None
    source = text_model_folder(encoder, folder)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=True)
        model = getattr(transformers, TEXT_MODELS[encoder]).from_pretrained(source, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        hint = f"hsmad weights pull {encoder}"
        raise WeightsError(f"{source}: not a {encoder} text encoder: {reason}", hint) from error
    width = model.config.projection_dim if encoder == "clap" else model.config.d_model
    return model.eval(), tokenizer, width


class SentenceModel:
    """A sentence encoder of transformers from a folder: its outputs' mean, as sentence-transformers pools them.

    words: the whole words of its vocabulary. Raises WeightsError.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import transformers
        except ModuleNotFoundError:
            raise WeightsError("a language model needs transformers", extra("text")) from None
        if not folder.is_dir():
            raise WeightsError(f"{folder}: no such folder", "name that of a sentence encoder, such as all-MiniLM-L6-v2")
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"{folder}: not a sentence encoder: {reason}") from error
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        self.words = [
            word for word, _ in vocabulary if word.isascii() and word.isalpha() and len(word) >= LEAST_LETTERS
        ]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [B, D]; the scalar product of two is their nearness."""
        parts = [texts[first : first + SENTENCES_AT_ONCE] for first in range(0, len(texts), SENTENCES_AT_ONCE)]
        return torch.cat([self._encode(list(part)) for part in parts])

    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        present = tokens["attention_mask"][..., None].float()
        summed = (self.model(**tokens).last_hidden_state * present).sum(1)
        return F.normalize(summed / present.sum(1), dim=1)
