"""Where weights are: those that ship with hsmad, those beside a checkpoint, and those that others publish on the hub.

`weights/index.json` lists what ships, with sha256 and size; a file is verified before it is used. The folder is
$HSMAD_WEIGHTS, or `_weights` inside the installed package, or `weights/` of the repository.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmad_cli.config import from_dict
from hsmad_cli.errors import ConfigError, WeightsError
from hsmad_cli.files.checkpoint import file_sha256, latent_sha256, read_header, style_space

INDEX = "index.json"
ENVIRONMENT = "HSMAD_WEIGHTS"
PULLED_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


@dataclass(frozen=True)
class Entry:
    """One shipped file: kind is `vae`, `style`, `denoiser` or `scorer`; card is the text that says how it was made.

    A scorer is a checkpoint of the style stage that nothing is played by: it judges.
    The `default` one of a kind is used when none is named.
    """

    name: str
    kind: str
    file: str
    sha256: str
    bytes: int
    card: str = ""
    default: bool = False


@dataclass(frozen=True)
class Remote:
    """A published model that `hsmad weights pull` fetches into the cache of huggingface_hub."""

    repository: str
    licence: str
    what: str


REMOTES = {
    "clap": Remote("laion/larger_clap_music", "Apache-2.0", "text and audio encoder: style encoder, clap-score"),
    "t5": Remote("google-t5/t5-base", "Apache-2.0", "text encoder: style encoder"),
    "encodec": Remote("facebook/encodec_24khz", "MIT", "codec, 24 kHz, both channels coded alone"),
    "dac": Remote("descript/dac_44khz", "MIT", "codec, 44.1 kHz, both channels coded alone"),
    "musicgen-small": Remote("facebook/musicgen-small", "CC BY-NC 4.0", "the baseline of `hsmad musicgen`"),
    "musicgen-melody": Remote("facebook/musicgen-melody", "CC BY-NC 4.0", "the same, following a melody"),
}


def weights_folder() -> Path:
    """The folder of the shipped weights; it need not exist."""
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT])
    package = Path(__file__).resolve().parent.parent
    installed = package / "_weights"
    return installed if installed.is_dir() else package.parent / "weights"


def entries() -> list[Entry]:
    """What the index of the shipped weights lists, nothing without an index. Raises WeightsError if it is damaged."""
    path = weights_folder() / INDEX
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
        return [from_dict(Entry, row, where=str(path)) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise WeightsError(f"{path}: damaged index of weights ({error})", "install hsmad again") from error


def find_entry(name: str | None, kind: str) -> Entry:
    """The shipped weights of this kind called `name`, or the default ones. Raises WeightsError."""
    found = [entry for entry in entries() if entry.kind == kind]
    wanted = [entry for entry in found if (entry.default if name is None else entry.name == name)]
    if wanted:
        return wanted[0]
    names = ", ".join(entry.name for entry in found) or f"none in {weights_folder()}"
    called = f"weights called {name!r}" if name is not None else f"default {kind} weights"
    raise WeightsError(f"no {called}", f"{kind} weights here: {names}; or name a .safetensors file")


def verified(entry: Entry) -> Path:
    """The file of an entry, its size and sha256 checked. Raises WeightsError."""
    path = weights_folder() / entry.file
    if not path.is_file():
        raise WeightsError(f"{path}: listed but not there", "install hsmad again, or set HSMAD_WEIGHTS")
    size = path.stat().st_size
    if size != entry.bytes:
        raise WeightsError(f"{path}: {size} bytes, the index says {entry.bytes}", "copy or install it again")
    if file_sha256(path) != entry.sha256:
        raise WeightsError(f"{path}: its sha256 is not that of the index", "copy or install it again")
    return path


def find_weights(name: str | None, kind: str) -> Path:
    """The path of weights named by a file, by a name of the index, or (None) by default; shipped ones are verified."""
    if name is not None and (name.endswith(".safetensors") or os.sep in name):
        if not Path(name).is_file():
            raise WeightsError(f"{name}: no such file", "`hsmad weights list` shows what is installed")
        return Path(name)
    return verified(find_entry(name, kind))


def find_by_sha256(sha256: str, kind: str, beside: Path, named: Path | None = None) -> Path:
    """The file with this sha256: `named`, or else shipped, in the folder of `beside`, or in a run folder next to it.

    Raises WeightsError that says where it was looked for, or that `named` is another one.
    """
    if named is not None:
        if not named.is_file():
            raise WeightsError(f"{named}: no such file")
        if file_sha256(named) != sha256:
            raise WeightsError(f"{named}: {beside} was made with {kind} weights of sha256 {sha256[:12]}...")
        return named
    for entry in entries():
        if entry.sha256 == sha256:
            return verified(entry)
    for path in _near(beside, kind):
        if file_sha256(path) == sha256:
            return path
    raise WeightsError(
        f"{beside}: made with {kind} weights of sha256 {sha256[:12]}..., which are not here",
        f"put that {kind} file into {beside.resolve().parent}",
    )


def find_codec(header: Mapping[str, Any], beside: Path, named: Path | None = None) -> Path:
    """A codec with the latents that the header of a denoiser, of latents or of a bank of them names.

    It is `named`, or one where `find_by_sha256` looks; of several the default one: a later decoder for the same latents
    is a better one. Headers without `latent_sha256` name the codec by its file only. Raises WeightsError.
    """
    latents, file = header.get("latent_sha256"), header.get("codec_sha256")
    if named is not None and not named.is_file():
        raise WeightsError(f"{named}: no such file")
    if file is None:
        raise WeightsError(f"{beside}: its header does not say codec_sha256")
    if latents is None and (named is None or file_sha256(named) == file):
        return find_by_sha256(file, "vae", beside, named)
    latents = latents or latent_sha256(find_by_sha256(file, "vae", beside))
    for path in _candidates("vae", beside) if named is None else [named]:
        if latent_sha256(path) == latents:
            return path
    if named is not None:
        cure = "name that one, or one trained from it with a frozen encoder"
        raise WeightsError(f"{named}: not the codec of {beside}", cure)
    cure = f"put one with latent_sha256 {latents[:12]}... into {beside.resolve().parent}"
    raise WeightsError(f"no codec of {beside} is here", cure)


def find_style(sha256: str, beside: Path, named: Path | None = None) -> Path:
    """A style encoder of the space `sha256`: `named`, or a shipped one, the default one first, or one near `beside`.

    Of several, one that learnt phrasing is the better one. Raises WeightsError.
    """
    if named is not None:
        if style_space(named) != sha256:
            cure = "name that one, or one that learnt phrasing from it"
            raise WeightsError(f"{named}: {beside} was made with style weights of sha256 {sha256[:12]}...", cure)
        return named
    found = [path for path in _candidates("style", beside) if style_space(path) == sha256]
    if not found:
        cure = f"put that style file into {beside.resolve().parent}"
        raise WeightsError(f"{beside}: made with style weights of sha256 {sha256[:12]}..., which are not here", cure)
    return next((path for path in found if "space_sha256" in read_header(path)), found[0])


def _candidates(kind: str, beside: Path) -> Iterator[Path]:
    """Weights of a kind that are shipped, the default ones first, and those near `beside`."""
    shipped = [entry for entry in entries() if entry.kind == kind]
    yield from (verified(entry) for entry in sorted(shipped, key=lambda entry: not entry.default))
    yield from (path for path in _near(beside, kind) if _is_of(kind, path))


def _is_of(kind: str, path: Path) -> bool:
    try:
        return bool(read_header(path)["kind"] == kind)
    except WeightsError:
        return False


def _near(beside: Path, kind: str) -> list[Path]:
    folder = beside.resolve().parent
    return [*sorted(folder.glob("*.safetensors")), *sorted(folder.parent.glob(f"*/{kind}.safetensors"))]


def pull(name: str) -> Path:
    """Fetch a published model into the local cache and return its folder. Raises WeightsError if it does not come."""
    from huggingface_hub import snapshot_download

    if name not in REMOTES:
        raise WeightsError(f"nothing called {name!r} can be pulled", f"there are: {', '.join(REMOTES)}")
    try:
        folder = Path(snapshot_download(REMOTES[name].repository, allow_patterns=PULLED_FILES))
    except OSError as error:
        raise WeightsError(f"{name}: {_first_line(error)}", "is there a network?") from error
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(f"{name}: {REMOTES[name].repository} has no safetensors file", "pickles are not loaded")
    return folder


def pulled(name: str) -> Path | None:
    """The folder of a published model in the local cache, or None."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(REMOTES[name].repository, allow_patterns=PULLED_FILES, local_files_only=True))
    except OSError:
        return None


def pulled_folder(name: str) -> Path:
    """The folder of a published model in the local cache. Raises WeightsError if it was not pulled."""
    folder = pulled(name)
    if folder is None:
        raise WeightsError(f"the weights of {name} are not in the local cache", f"hsmad weights pull {name}")
    return folder


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
