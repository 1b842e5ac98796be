"""Configuration as data: frozen dataclasses, TOML in, canonical JSON out.

A preset is a TOML file whose tables are the fields of `Config`. A small diff file names the preset it departs from with
`base = "..."`. The configuration of a trained model travels inside its checkpoint as canonical JSON.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hsmad_cli.errors import ConfigError, UsageError

T = TypeVar("T")

Level = Literal["event", "local", "global"]
LEVELS: tuple[Level, ...] = get_args(Level)
Instruments = Literal["free", "midi"]
INSTRUMENTS: tuple[Instruments, ...] = get_args(Instruments)
Guidance = Literal["additive", "nested", "anchored", "joint"]
GUIDANCES: tuple[Guidance, ...] = get_args(Guidance)
Sampler = Literal["dpm_solver_2m", "ddim"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
# Of sounds that are read, judged and written, Hz; a codec has its own.
SAMPLE_RATE = 44100
WORD = re.compile(r"\s*[A-Za-z][\w.+-]*\s*", re.ASCII)


@dataclass(frozen=True)
class CodecConfig:
    """The waveform VAE. Encoder and decoder lists run from the audio rate to the latent rate."""

    sample_rate: int = SAMPLE_RATE
    strides: tuple[int, ...] = (6, 3, 7, 7)
    encoder_channels: tuple[int, ...] = (64, 128, 224, 320)
    decoder_channels: tuple[int, ...] = (96, 192, 320, 512)
    kernels: tuple[int, ...] = (7, 7, 5, 3)
    dilations: tuple[int, ...] = (1, 3, 9)
    latent_channels: int = 96

    @property
    def hop_length(self) -> int:
        hop = 1
        for stride in self.strides:
            hop *= stride
        return hop

    @property
    def frame_rate(self) -> tuple[int, int]:
        """Latent frames a second, T_H, as an exact ratio (numerator, denominator)."""
        return self.sample_rate, self.hop_length


@dataclass(frozen=True)
class HSEConfig:
    """Hierarchical score encoder [2.2]: stages at T_H, T_M, T_L. Windows are in frames of their level, 0 = full."""

    block: Literal["conformer", "transformer"] = "conformer"
    width: int = 256
    heads: int = 4
    expansion: int = 2
    depths: tuple[int, int, int] = (3, 1, 1)
    kernel: int = 7
    windows: tuple[int, int, int] = (128, 128, 256)
    dropout: float = 0.0


@dataclass(frozen=True)
class UNetConfig:
    """MRCI U-Net [2.3, figure 1]: widths at T_H, T_M, T_L; layers a down block (= an up block) and in the bottleneck.

    `condition_width` is the width of the timestep and style codes. Layer n of the bottleneck has dilation
    `bottleneck_dilation ** n`. `global_film`: a linear map of F_global, frame by frame of T_L, is added to the
    style code.
    """

    widths: tuple[int, int, int] = (384, 320, 320)
    depths: tuple[int, int, int] = (4, 1, 2)
    heads: int = 3
    head_width: int = 64
    kernel: int = 3
    bottleneck_dilation: int = 2
    condition_width: int = 256
    tca_windows: tuple[int, int, int] = (32, 64, 64)
    inject: tuple[Level, ...] = LEVELS
    skip_modulation: bool = True
    skip_gate: float = 1e-3
    global_film: bool = False


@dataclass(frozen=True)
class StyleConfig:
    """Style encoder [2.4]: `builtin`, `clap` or `t5`; `width` is D of F_style. `audio_channels`: of the audio tower."""

    encoder: Literal["builtin", "clap", "t5"] = "builtin"
    width: int = 256
    text_width: int = 192
    depth: int = 3
    heads: int = 4
    vocabulary: int = 4096
    max_tokens: int = 48
    audio_channels: tuple[int, ...] = (32, 64, 128, 192)


@dataclass(frozen=True)
class DiffusionConfig:
    """Objective [2.5.1] and condition dropout [2.5.2]."""

    objective: Literal["epsilon", "v"] = "v"
    schedule: Literal["cosine"] = "cosine"
    dropout: Literal["decoupled", "together"] = "decoupled"
    dropout_score: float = 0.1
    dropout_style: float = 0.2
    uniform_levels: float = 0.5
    level_mean: float = 0.5
    level_std: float = 1.0


@dataclass(frozen=True)
class AuxiliaryConfig:
    """Auxiliary tasks [4.1.3]: weights of the losses that are added to the diffusion loss; 0 leaves a task out."""

    chord: float = 0.05
    tempo: float = 0.02
    key: float = 0.02


def scales_of(ratios: tuple[int, int]) -> tuple[int, int, int]:
    """Frames at T_H in one frame of T_H, T_M and T_L: (1, R1, R1 R2) of (R1, R2)."""
    return 1, ratios[0], ratios[0] * ratios[1]


@dataclass(frozen=True)
class DenoiserConfig:
    """Everything that a denoiser checkpoint must know. `ratios` = (R1, R2)."""

    ratios: tuple[int, int] = (4, 4)
    hse: HSEConfig = field(default_factory=HSEConfig)
    unet: UNetConfig = field(default_factory=UNetConfig)
    auxiliary: AuxiliaryConfig = field(default_factory=AuxiliaryConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)

    @property
    def scales(self) -> tuple[int, int, int]:
        """Frames at T_H in one frame of each level."""
        return scales_of(self.ratios)

    @property
    def multiple(self) -> int:
        """R1 R2: songs and blocks are a multiple of so many frames at T_H."""
        return self.scales[-1]


# How much wider than written the denoiser is told the velocities of pitched parts, since it plays them flatter.
DYNAMICS = 1.5


@dataclass(frozen=True)
class SampleConfig:
    """How `sample` guides [2.5.2] and steps unless told otherwise: weights of score and style, mode, sampler.

    w_s above w_h: only for the outline; with another guidance, see `default_ws`. temperature: what is kept of the noise
    when that stands, 0 to 1: below 1 the likelier details, with less hiss.
    rescale: 0 to 1, how far guidance is kept from making music louder than it is without. w_a: weight of attention
    guidance, 0 is none.
    Raises UsageError if a weight is negative or not finite, or temperature or rescale is not between 0 and 1, and
    ValueError for an unknown guidance or sampler.
    """

    w_h: float = 4.0
    w_s: float = 8.0
    guidance: Guidance = "nested"
    steps: int = 8
    sampler: Sampler = "dpm_solver_2m"
    temperature: float = 0.6
    rescale: float = 0.6
    w_a: float = 1.0

    def __post_init__(self) -> None:
        for what, choice, known in (("guidance", self.guidance, GUIDANCES), ("sampler", self.sampler, SAMPLERS)):
            if choice not in known:
                raise ValueError(f"the {what} is {choice!r}, not one of {', '.join(known)}")
        for what, weight in (("score", self.w_h), ("style", self.w_s), ("attention", self.w_a)):
            if not (isfinite(weight) and weight >= 0):
                raise UsageError(f"the guidance of the {what} is {weight:g}", "it is a number from 0 on, such as 4")
        if not 0 <= self.temperature <= 1:
            raise UsageError(f"the temperature is {self.temperature:g}", "it is a number from 0 (none) to 1 (all)")
        if not 0 <= self.rescale <= 1:
            raise UsageError(f"the rescaling is {self.rescale:g}", "it is a number from 0 (none) to 1 (all)")


def default_wh(instruments: Instruments) -> float:
    """The guidance of the score where none is given: less where words decide who plays, so that they are heard."""
    return 3.0 if instruments == "free" else SampleConfig.w_h


def default_ws(guidance: Guidance) -> float:
    """The guidance of the style where none is given: only nested guidance bears a strong one."""
    return SampleConfig.w_s if guidance == "nested" else 2.0


@dataclass(frozen=True)
class TrainConfig:
    """One training stage. `batch` is per process. `crop_frames` and `context_frames` are latent frames at T_H.

    The run ends after `steps`, or after `seconds` of wall-clock time if that is not 0. The rate warms up over `warmup`
    steps, stays, and falls as a cosine over the last `decay` of the run (a fraction, 0 = never). A test metric (`train
    --held-out`) is taken every `test_every` steps (0 = never) and at the end. `optimiser` muon is AdamW for all but the
    matrices, whose steps are orthogonal (`betas` are AdamW's). `precision` bf16 is bfloat16 where the chip computes in
    it, else float32. `compile` fuses kernels; `capture` replays a step whose work never changes (the denoiser's) and
    the optimisers' as CUDA graphs, on a GPU. `frozen` names parts of the model that keep the weights of --init: with
    the codec's `encoder`, its latents and all denoisers trained on them stay valid. `adversarial_from`, the step at
    which the discriminator joins (0 = never), and `latent_noise` are of the vae stage.
    """

    steps: int = 10_000
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 500
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.9995
    optimiser: Literal["adamw", "muon"] = "adamw"
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = False
    capture: bool = False
    crop_frames: int = 1008
    context_frames: int = 512
    log_every: int = 50
    save_every: int = 1000
    test_every: int = 1000
    seconds: float = 0.0
    frozen: tuple[str, ...] = ()
    adversarial_from: int = 0
    latent_noise: float = 0.05


@dataclass(frozen=True)
class Config:
    """A preset: the models and the training of each stage."""

    name: str = "base"
    codec: CodecConfig = field(default_factory=CodecConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    style: StyleConfig = field(default_factory=StyleConfig)
    train_vae: TrainConfig = field(default_factory=TrainConfig)
    train_style: TrainConfig = field(default_factory=TrainConfig)
    train_phrasing: TrainConfig = field(default_factory=TrainConfig)
    train_denoiser: TrainConfig = field(default_factory=TrainConfig)


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("hsmad_cli") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str, changes: Sequence[str] = ()) -> Config:
    """The configuration of a shipped preset or of a TOML file, its `base` applied first, then `changes`.

    A change is as in `changed`. Raises ConfigError naming the file, table and key at fault.
    """
    return from_dict(Config, changed(_read_tables(name, ()), changes), where=f"preset {name}")


def changed(tables: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The tables after lines of TOML such as `train_vae.batch = 8`, where words need no quotes; raises ConfigError."""
    for change in changes:
        tables = _merge(tables, _read_change(change))
    return tables


def _read_change(change: str) -> dict[str, Any]:
    try:
        return tomllib.loads(change)
    except tomllib.TOMLDecodeError as error:
        key, _, value = change.partition("=")
        if WORD.fullmatch(value):
            return _read_change(f'{key} = "{value.strip()}"')
        raise ConfigError(f"{change!r} is no line of TOML: {error}", "e.g. train_vae.batch=8") from error


def _read_tables(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise ConfigError(f"preset {name} is its own base: {' -> '.join((*seen, name))}")
    path = Path(name) if name.endswith(".toml") else resources.files("hsmad_cli") / "presets" / f"{name}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no preset {name!r}", f"presets: {', '.join(preset_names())}, or a .toml file") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"preset {name}: {error}") from error
    base = tables.pop("base", None)
    if base is None:
        return tables
    return _merge(_read_tables(str(base), (*seen, name)), tables)


def _merge(base: Mapping[str, Any], diff: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in diff.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """A frozen dataclass from nested mappings; unknown keys and wrong types raise ConfigError."""
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}", f"keys here: {', '.join(hints)}")
    return cls(**{key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a table, got {value!r}")
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        return _convert_choice(get_args(hint), value, where)
    if get_origin(hint) is tuple:
        return _convert_tuple(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _convert_choice(choices: tuple[str, ...], value: Any, where: str) -> str:
    if value not in choices:
        raise ConfigError(f"{where}: {value!r} is not one of {', '.join(choices)}")
    return str(value)


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: expected a list, got {value!r}")
    kinds = hint.__args__
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"{where}: expected {len(kinds)} values, got {len(value)}")
    return tuple(_convert(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def to_dict(config: Any) -> dict[str, Any]:
    """The fields of a configuration as nested dicts and lists."""
    return {f.name: asdict(config)[f.name] for f in fields(config)}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
