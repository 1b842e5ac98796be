"""Text models of transformers, from a local folder or the local hub cache; nothing is ever downloaded here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from hsmad_cli.errors import WeightsError
from hsmad_cli.files.hub import pulled

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
        raise WeightsError(f"style encoder {encoder!r} needs transformers", "pip install 'hsmad[text]'") from None
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
