"""SyncNet: a lip stream and a voice stream whose outputs are close where mouth and sound belong together.

The form is that of joonson/syncnet_python@6efbb1c (Chung & Zisserman, "Out of time", ACCV 2016 workshop). Layer
order, kernel sizes and parameter names are the same, so `syncnet_v2.model` loads. `SyncNetSpec` varies the input size
and the widths; the bundled judge is a small network of the same form.

`Judge` evaluates the same function faster: frames stay uint8 until they are on the device, the five frames of a window
become channels (only the first layer of the lip stream spans time), and batch norm is folded into the convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from tkbench.errors import BadInput, WeightsRefused
from tkbench.metrics.winograd import LipStream, VoiceStream
from tkbench.runtime.devices import whole_floats
from tkbench.types import Float32, Float64, UInt8
from tkbench.weights import load_state, read_about, write_tensors

WINDOW_FRAMES = 5
"""Video frames that one lip embedding sees."""
WINDOW_CEPSTRA = 20
"""MFCC columns (10 ms each) that one voice embedding sees: the same 0.2 s."""
CEPSTRA_PER_FRAME = 4
VOICES = 64
"""Voice windows per step."""
N_CEPSTRA = 13


@dataclass(frozen=True, slots=True)
class SyncNetSpec:
    """What differs between networks of this form; the defaults are the published one."""

    size: int = 224
    """Side of the square input in pixels."""
    channels: int = 3
    """3: blue, green, red. 1: grey, (R + G + B) / 3 rounded down."""
    lip: tuple[int, int, int, int, int, int] = (96, 256, 256, 256, 256, 512)
    """Output channels of the six convolutions over pictures."""
    voice: tuple[int, int, int, int, int, int] = (64, 192, 384, 256, 256, 512)
    """Output channels of the six convolutions over cepstra."""
    hidden: int = 512
    embedding: int = 1024
    unit: bool = False
    """True where embeddings are scaled to length 1, so that distances lie in [0, 2]."""
    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The part of the syncnet-224 crop that is the input: left, top, right, bottom as shares of its side."""

    @property
    def last_kernel(self) -> int:
        """Side of the last convolution: what is left of the input after the strided layers (6 for 224)."""
        side = (self.size - 7) // 2 + 1
        side = (side - 3) // 2 + 1
        side = (side + 2 - 5) // 2 + 1
        side = (side + 2 - 3) // 2 + 1
        return (side - 3) // 2 + 1


class SyncNet(nn.Module):
    """The network as it was published; also the form in which it is trained.

    Pixels are 0-255 and not normalised; cepstra are those of `mfcc` on 16-bit samples.
    """

    def __init__(self, spec: SyncNetSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or SyncNetSpec()
        if spec.last_kernel < 1:
            raise BadInput(f"input size {spec.size} leaves nothing for the last layer; the smallest is 78")
        self.netcnnaud = _voice_stack(spec)
        self.netfcaud = _head(spec.voice[-1], spec.hidden, spec.embedding)
        self.netcnnlip = _lip_stack(spec)
        self.netfclip = _head(spec.lip[-1], spec.hidden, spec.embedding)

    def forward_lip(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, channels, 5, size, size) pixels in 0-255 -> (B, embedding)."""
        return self.finish(self.netfclip(self.netcnnlip(windows).flatten(1)))

    def forward_aud(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, 1, 13, 20) cepstra -> (B, embedding)."""
        return self.finish(self.netfcaud(self.netcnnaud(windows).flatten(1)))

    def finish(self, out: torch.Tensor) -> torch.Tensor:
        """What the spec asks for after the last layer."""
        return nn.functional.normalize(out, dim=1) if self.spec.unit else out


def _head(inside: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))


def _voice_stack(spec: SyncNetSpec) -> nn.Sequential:
    """Cepstra (13, 20) -> (C, 1, 1): six convolutions, three poolings, the first of which does nothing."""
    pools = {
        0: nn.Identity(),  # published as a 1x1 pooling; it holds the place that the layer numbers need
        1: nn.MaxPool2d(3, stride=(1, 2)),
        4: nn.MaxPool2d(3, stride=2),
    }
    layers: list[nn.Module] = []
    before = 1
    for place, width in enumerate(spec.voice):
        last = place == 5
        conv = nn.Conv2d(before, width, (5, 4)) if last else nn.Conv2d(before, width, 3, padding=1)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
        if place in pools:
            layers.append(pools[place])
        before = width
    return nn.Sequential(*layers)


def _lip_stack(spec: SyncNetSpec) -> nn.Sequential:
    """Pictures (5, size, size) -> (C, 1, 1, 1): the first kernel spans the five frames, the others one."""
    last = spec.last_kernel
    kernels = [
        ((5, 7, 7), (1, 2, 2), (0, 0, 0)),
        ((1, 5, 5), (1, 2, 2), (0, 1, 1)),
        ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
        ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
        ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
        ((1, last, last), (1, 1, 1), (0, 0, 0)),
    ]
    pools = {
        0: nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
        1: nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        4: nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
    }
    layers: list[nn.Module] = []
    before = spec.channels
    for place, (width, (kernel, stride, padding)) in enumerate(zip(spec.lip, kernels, strict=True)):
        layers += [nn.Conv3d(before, width, kernel, stride, padding), nn.BatchNorm3d(width), nn.ReLU()]
        if place in pools:
            layers.append(pools[place])
        before = width
    return nn.Sequential(*layers)


def pixels(frames: UInt8, channels: int) -> UInt8:
    """(T, H, W, 3) RGB as the network's own channels: BGR (T, H, W, 3), or grey (T, H, W, 1)."""
    if channels == 3:
        return np.ascontiguousarray(frames[..., ::-1])
    grey = frames.astype(np.uint16).sum(axis=-1, keepdims=True) // 3
    return grey.astype(np.uint8)


class Judge:
    """A frozen SyncNet: frames and cepstra of whole clips to embeddings, one row per video frame.

    `precision`: "exact" is float32; "bf16" multiplies in bfloat16, fast where the processor has it, which moves
    an embedding by up to 2 % and a score in its third decimal: for looking, never for a table.
    """

    def __init__(
        self, net: SyncNet, *, device: str = "cpu", batch: int = 20, precision: str = "exact"
    ) -> None:
        self.spec = net.spec
        self.device = torch.device(device)
        self.batch = batch
        """Lip windows per step: the first layer's output is to stay in cache."""
        self.precision = precision
        net = net.eval()
        lip = nn.Sequential(*_fold(flat_lip(net)), nn.Flatten(), *_fold(net.netfclip))
        voice = nn.Sequential(*_fold(net.netcnnaud), nn.Flatten(), *_fold(net.netfcaud))
        for stack in (lip, voice):
            stack.requires_grad_(False).eval()
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        # The published network alone: scores of small judges are to keep their last digit.
        fast = (self.spec.size, self.spec.channels, device) == (224, 3, "cpu")
        self._stream = LipStream(lip, (224, 224), kind=kind) if fast else None
        self._kind = torch.float32 if fast else kind
        """The type of what goes in: the streams above make their own."""
        self._lip = lip.to(self.device, self._kind).to(memory_format=torch.channels_last)
        self._voice = voice.to(self.device, self._kind)
        self._listen = VoiceStream(voice, (N_CEPSTRA, WINDOW_CEPSTRA), kind=kind) if fast else self._voice

    def lips(self, frames: UInt8) -> Float32:
        """(T, size, size, 3) RGB uint8 -> (T - 4, embedding): row v sees frames v to v + 4."""
        return self.lips_of([frames])[0]

    def lips_of(self, clips: Sequence[UInt8]) -> list[Float32]:
        """`lips` of several clips, whose windows share batches: a short clip does not leave one half empty."""
        size = self.spec.size
        for frames in clips:
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (size, size, 3):
                found = f"crops are {frames.dtype} {frames.shape}"
                raise BadInput(f"{found}; expected uint8 (T, {size}, {size}, 3)")
        counts = [max(0, len(frames) - WINDOW_FRAMES + 1) for frames in clips]
        rows = [np.empty((0, self.spec.embedding), np.float32)]
        with torch.inference_mode(), whole_floats():
            if self._stream is not None:
                rows += [self._finish(out) for out in self._stream.run(clips, counts)]
            else:
                blocks = self._blocks(clips, counts)
                rows += [self._finish(self._lip(self._tensor(block)).float()) for block in blocks]
        whole = np.concatenate(rows)
        return (
            [part.copy() for part in np.split(whole, np.cumsum(counts)[:-1])] if len(clips) > 1 else [whole]
        )

    def _blocks(self, clips: Sequence[UInt8], counts: Sequence[int]) -> Iterator[torch.Tensor]:
        """Batches of windows over the clips in order: (n, size, size, 5 * channels) uint8, time before colour."""
        waiting: list[torch.Tensor] = []
        room = self.batch
        for frames, count in zip(clips, counts, strict=True):
            own = pixels(frames, self.spec.channels) if count else frames
            start = 0
            while start < count:
                stop = min(count, start + room)
                # A frame goes to the device once, and becomes part of five windows there.
                piece = torch.from_numpy(own[start : stop + WINDOW_FRAMES - 1]).to(self.device)
                # The order of the folded first layer.
                parts = [piece[t : t + stop - start] for t in range(WINDOW_FRAMES)]
                waiting.append(torch.cat(parts, dim=-1))
                room -= stop - start
                start = stop
                if room == 0:
                    yield waiting[0] if len(waiting) == 1 else torch.cat(waiting)
                    waiting, room = [], self.batch
        if waiting:
            yield waiting[0] if len(waiting) == 1 else torch.cat(waiting)

    def _tensor(self, block: torch.Tensor) -> torch.Tensor:
        """Pixels as numbers, channels first; bfloat16 holds 0 to 255 exactly."""
        return block.permute(0, 3, 1, 2).to(self._kind)

    def voice(self, cepstra: Float64) -> Float32:
        """(F, 13) cepstra at 100 Hz -> ((F - 20) // 4 + 1, embedding): row v sees cepstra 4 v to 4 v + 19."""
        if cepstra.ndim != 2 or cepstra.shape[1] != N_CEPSTRA:
            raise BadInput(f"cepstra are {cepstra.shape}; expected (F, {N_CEPSTRA})")
        count = (len(cepstra) - WINDOW_CEPSTRA) // CEPSTRA_PER_FRAME + 1
        if count < 1:
            return np.empty((0, self.spec.embedding), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(cepstra, WINDOW_CEPSTRA, axis=0)
        windows = windows[::CEPSTRA_PER_FRAME]
        rows = []
        with torch.inference_mode(), whole_floats():
            for start in range(0, count, VOICES):
                block = np.ascontiguousarray(windows[start : min(count, start + VOICES), None], np.float32)
                tensor = torch.from_numpy(block).to(self.device, self._kind)
                rows.append(self._finish(self._listen(tensor).float()))
        return np.concatenate(rows)

    def _finish(self, out: torch.Tensor) -> Float32:
        if self.spec.unit:
            out = nn.functional.normalize(out, dim=1)
        rows: Float32 = out.cpu().numpy()
        return rows


def flat_lip(net: SyncNet) -> nn.Sequential:
    """The lip stream on (B, 5 * channels, size, size), time before colour, with its weights copied.

    Only the first kernel spans time, so every Conv3d is a Conv2d once time lies in the channels: the same
    numbers, faster, and the form in which `load_flat` takes trained weights back.
    """
    flat: list[nn.Module] = []
    for layer in net.netcnnlip:
        if isinstance(layer, nn.Conv3d):
            weight = layer.weight.detach().permute(0, 2, 1, 3, 4).flatten(1, 2).contiguous()
            flat.append(_conv2d(weight, layer.bias, _plane(layer.stride), _plane(layer.padding)))
        elif isinstance(layer, nn.BatchNorm3d):
            norm = nn.BatchNorm2d(layer.num_features)
            norm.load_state_dict(layer.state_dict())
            flat.append(norm)
        elif isinstance(layer, nn.MaxPool3d):
            kernel, stride, padding = (
                _plane(value) for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            flat.append(nn.MaxPool2d(kernel, stride, padding))
        else:
            flat.append(layer)
    return nn.Sequential(*flat).train(net.training)


def load_flat(net: SyncNet, flat: nn.Sequential) -> None:
    """Copy the weights of `flat_lip(net)`, trained since, back into the lip stream of `net`."""
    for own, other in zip(net.netcnnlip, flat, strict=True):
        state = {name: value.detach().clone() for name, value in other.state_dict().items()}
        if isinstance(own, nn.Conv3d):
            out, channels, span, height, width = own.weight.shape
            weight = state["weight"].reshape(out, span, channels, height, width)
            state["weight"] = weight.permute(0, 2, 1, 3, 4).contiguous()
        own.load_state_dict(state)


def _plane(value: int | str | Sequence[int]) -> tuple[int, int]:
    """The height and width part of a setting that is one number or (time, height, width)."""
    if isinstance(value, int):
        return value, value
    _, height, width = map(int, value)
    return height, width


def _conv2d(
    weight: torch.Tensor, bias: torch.Tensor | None, stride: Sequence[int], padding: Sequence[int]
) -> nn.Conv2d:
    out, inside, height, width = weight.shape
    conv = nn.Conv2d(inside, out, (height, width), tuple(stride), tuple(padding))  # type: ignore[arg-type]
    conv.weight = nn.Parameter(weight.clone())
    conv.bias = nn.Parameter(torch.zeros(out) if bias is None else bias.detach().clone())
    return conv


def _fold(stack: nn.Sequential) -> list[nn.Module]:
    """The layers of `stack` with each batch norm worked into the layer before it, in float64."""
    folded: list[nn.Module] = []
    for layer in stack:
        if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            folded.append(copy.deepcopy(layer))
            continue
        before = folded[-1]
        assert isinstance(before, nn.Conv2d | nn.Linear)
        assert before.bias is not None
        assert layer.running_var is not None
        assert layer.running_mean is not None
        scale = layer.weight.detach().double() / (layer.running_var.double() + layer.eps).sqrt()
        shaped = scale.reshape(-1, *[1] * (before.weight.ndim - 1))
        bias = (
            before.bias.detach().double() - layer.running_mean.double()
        ) * scale + layer.bias.detach().double()
        before.weight = nn.Parameter((before.weight.detach().double() * shaped).float())
        before.bias = nn.Parameter(bias.float())
    return folded


def save_syncnet(net: SyncNet, path: Path, facts: Mapping[str, object]) -> None:
    """Write weights, spec and `facts` (training settings, data, seed) as safetensors; equal bytes for equal content."""
    state = {name: value for name, value in net.state_dict().items() if "num_batches" not in name}
    write_tensors(path, state, {"spec": asdict(net.spec), **facts})


def read_facts(path: Path) -> dict[str, object]:
    """The facts that `save_syncnet` wrote beside the weights; raises WeightsRefused for any other file."""
    return _read_about(path)[1]


def _read_about(path: Path) -> tuple[SyncNetSpec, dict[str, object]]:
    try:
        about = read_about(path)
        stored = cast(Mapping[str, Any], about.pop("spec"))
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        spec = SyncNetSpec(**settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsRefused(
            f"{path}: not a SyncNet written by `tkbench train --model syncnet` ({error})"
        ) from error
    return spec, about


def load_syncnet(path: Path) -> SyncNet:
    """The SyncNet in a file: one of ours (safetensors with its spec), or `syncnet_v2.model` as published."""
    spec = _read_about(path)[0] if path.suffix == ".safetensors" else SyncNetSpec()
    net = SyncNet(spec)
    state = load_state(path)
    missing, unexpected = net.load_state_dict(state, strict=False)
    missing = [name for name in missing if "num_batches" not in name]  # a counter that only training uses
    if missing or unexpected:
        raise WeightsRefused(f"{path}: not a SyncNet: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return net.eval()
