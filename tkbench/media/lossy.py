"""The lossy encodings that the field's LSE scripts put between a video and the network, by the same encoders.

The network of a script never gets the pixels of the given file. From the sources of the scripts (2026-11):

    wav2lip-lrs   JPEG at ffmpeg's default rate                       (Wav2Lip evaluation/scores_LSE, 6 kB a frame
                                                                      and falling: quality drifts along the clip)
    syncnet-real  mpeg4 q2 + mp3 in AVI -> JPEG q2 -> XVID -> JPEG    (syncnet_python run_pipeline.py, SyncNetInstance)
    latentsync    h264 crf 23 + aac in MP4 -> JPEG q2 -> mp4v + aac -> JPEG   (LatentSync eval/syncnet_detect.py)
    mocha         as syncnet-real, but the voice comes from a wav file        (MoChaBench syncnet_pipeline.py)

The mp3 is easy to miss: no script names a sound codec for its AVI, and ffmpeg's default is 24 kbit/s at 16 kHz.
Here the chain starts from the prepared canvas (25 fps RGB, 16 kHz mono) instead of the released file. The conversion
from RGB to 4:2:0 is the only step that the scripts do not have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench.errors import BadInput, BadMedia, UsageError
from tkbench.media.ffmpeg import FORMATS, run
from tkbench.media.sound import to_int16
from tkbench.types import FPS, SAMPLE_RATE, Float32, Reason, UInt8

Container = Literal["avi", "mp4"]
FOURCC = {"avi": "XVID", "mp4": "mp4v"}


def jpegs(frames: UInt8) -> UInt8:
    """Frames (T, H, W, 3) RGB as `ffmpeg -f image2 %06d.jpg` writes them and OpenCV reads them; same shape.

    The encoder's rate control carries over from frame to frame, so a frame depends on those before it.
    """
    size = _size(frames)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
    # JPEGs of the scripts come from 4:2:0 video; from RGB ffmpeg would choose 4:4:4.
    out = run([*raw, *_jpeg_options(None), "-pix_fmt", "yuvj420p", "pipe:1"], "frames", stdin=frames)
    return _decoded(out, len(frames))


def jpegs_of(path: Path) -> UInt8:
    """The pictures of a video file as the scripts get them: (T, H, W, 3) RGB, every frame of the file."""
    out = run([*_file(path), "-threads", "1", *_jpeg_options(None), "pipe:1"], path.name)
    return _decoded(out, None)


def sound_of(path: Path) -> Float32:
    """The sound of a video file as the scripts get it: (S,) float32 mono at 16 kHz, whole 16-bit steps."""
    return _samples(run([*_file(path), "-async", "1", *_WAV, "pipe:1"], path.name))


def first_generation(frames: UInt8, audio: Float32, container: Container) -> tuple[UInt8, Float32]:
    """The input of face detection and of the crops: one encoding of picture and sound, then JPEG at quality 2.

    frames: (T, H, W, 3) RGB with even sides, audio: (S,) float32. Returns both, of nearly the same lengths.
    """
    size = _size(frames)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise BadInput(f"frames are {size}; 4:2:0 video needs even sides")
    with tempfile.TemporaryDirectory(prefix="tkbench-lossy-") as folder:
        sound, video = Path(folder) / "sound.raw", Path(folder) / f"video.{container}"
        sound.write_bytes(to_int16(audio).tobytes())
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
        voice = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", f"file:{sound}"]
        encode = ["-qscale:v", "2", "-async", "1", "-r", "25", "-pix_fmt", "yuv420p", f"file:{video}"]
        # One thread: x264 places its frames by the number of threads.
        run([*raw, *voice, "-threads", "1", *encode], video.name, stdin=frames)
        source = ["-i", f"file:{video}"]
        pictures = run([*source, "-threads", "1", *_jpeg_options(2), "pipe:1"], video.name)
        heard = run([*source, *_WAV, "pipe:1"], video.name)
    return _decoded(pictures, None), _samples(heard)


def second_generation(crops: UInt8, audio: Float32, container: Container) -> tuple[UInt8, Float32]:
    """The input of the network: OpenCV's video of a track's crops, sound copied (AVI) or as aac (MP4), then JPEG."""
    import cv2

    _size(crops)
    with tempfile.TemporaryDirectory(prefix="tkbench-lossy-") as folder:
        video = Path(folder) / f"crop.{container}"
        code = cv2.VideoWriter_fourcc(*FOURCC[container])  # type: ignore[attr-defined]
        writer = cv2.VideoWriter(str(video), code, float(FPS), (crops.shape[2], crops.shape[1]))
        if not writer.isOpened():
            raise UsageError(
                f"this OpenCV cannot write {FOURCC[container]} video; install opencv-contrib-python"
            )
        for crop in crops:
            writer.write(np.ascontiguousarray(crop[..., ::-1]))
        writer.release()
        pictures = _decoded(
            run(["-i", f"file:{video}", "-threads", "1", *_jpeg_options(None), "pipe:1"], video.name),
            None,
        )
        if container == "avi":
            return pictures, audio  # 16-bit samples copied
        sound, coded = Path(folder) / "sound.raw", Path(folder) / "sound.mp4"
        sound.write_bytes(to_int16(audio).tobytes())
        voice = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", f"file:{sound}"]
        run([*voice, "-c:a", "aac", f"file:{coded}"], coded.name)
        heard = run(["-i", f"file:{coded}", "-async", "1", *_WAV, "pipe:1"], coded.name)
    return pictures, _samples(heard)


_WAV = ["-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", str(SAMPLE_RATE), "-f", "s16le"]


def _file(path: Path) -> list[str]:
    """A file of a stranger as input: no playlist, no other protocol."""
    guard = ["-format_whitelist", FORMATS, "-protocol_whitelist", "file"]
    return [*guard, "-i", f"file:{path.absolute()}"]


def _jpeg_options(quality: int | None) -> list[str]:
    scale = [] if quality is None else ["-qscale:v", str(quality)]
    return [*scale, "-an", "-c:v", "mjpeg", "-threads", "1", "-f", "image2pipe"]


def _size(frames: UInt8) -> str:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise BadInput(
            f"frames are {frames.dtype} {frames.shape}; expected uint8 (T, H, W, 3) with T of 1 or more"
        )
    return f"{frames.shape[2]}x{frames.shape[1]}"


def _decoded(stream: bytes, count: int | None) -> UInt8:
    """Concatenated JPEGs -> (T, H, W, 3) RGB, decoded by OpenCV as the scripts do."""
    import cv2

    frames = [cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR) for part in _split(stream)]
    if not frames or any(frame is None for frame in frames) or (count is not None and len(frames) != count):
        raise BadMedia(
            Reason.DECODE_ERROR, f"{len(frames)} JPEGs came out of ffmpeg, expected {count or 'some'}"
        )
    # Reading each array backwards would take ten times as long.
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames])


def _split(stream: bytes) -> Iterator[bytes]:
    """Each JPEG; an end mark cannot stand inside one, since 0xff is followed by 0 in the coded data."""
    start = 0
    while start < len(stream):
        end = stream.find(b"\xff\xd9", start)
        if end < 0:
            raise BadMedia(Reason.DECODE_ERROR, "the last JPEG is cut off")
        yield stream[start : end + 2]
        start = end + 2


def _samples(raw: bytes) -> Float32:
    return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
