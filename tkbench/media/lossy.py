"""The lossy encodings that the field's LSE scripts put between a video and the network, by the same encoders.

The network of a script never gets the pixels of the given file. From the sources of the scripts (2026-11):

    wav2lip-lrs   JPEG at ffmpeg's default rate                       (Wav2Lip evaluation/scores_LSE, 6 kB a frame
                                                                      and falling: quality drifts along the clip)
    syncnet-real  mpeg4 q2 + mp3 in AVI -> JPEG q2 -> XVID -> JPEG    (syncnet_python run_pipeline.py, SyncNetInstance)
    latentsync    h264 crf 23 + aac in MP4 -> JPEG q2 -> mp4v + aac -> JPEG   (LatentSync eval/syncnet_detect.py)
    mocha         as syncnet-real, but the voice comes from a wav file        (MoChaBench syncnet_pipeline.py)

The mp3 is easy to miss: no script names a sound codec for its AVI, and ffmpeg's default depends on the sound that it
gets: 128 kbit/s for 48 kHz stereo, 24 kbit/s for 16 kHz mono. Functions whose name ends in `_of` take the released
file, and run the commands of the scripts on it. The others take what a shard holds, the canvas (25 fps RGB) and its
voice (16 kHz mono): the conversion from RGB to 4:2:0 and the poorer mp3 are steps that the scripts do not have.

One thing is not as in the scripts: encoders run on one thread. The scripts leave the number to the machine, and then
mpeg4, x264 and mjpeg give other bytes on 2 cores than on 64.
"""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from tkbench.errors import BadInput, BadMedia, UsageError
from tkbench.media.ffmpeg import FORMATS, run
from tkbench.media.pictures import Folder, Pictures, decoded, split
from tkbench.media.probe import open_container
from tkbench.media.sound import to_int16
from tkbench.types import FPS, SAMPLE_RATE, Float32, Reason, UInt8

Container = Literal["avi", "mp4"]
FOURCC = {"avi": "XVID", "mp4": "mp4v"}
SOUND_CODEC = {"avi": "copy", "mp4": "aac"}


class Coded:
    """A video after the first encoding of a script, and what the script makes of it; on disk while this lives."""

    def __init__(self, video: Path, folder: Folder, name: str) -> None:
        self._video, self._folder, self._name = video, folder, name

    @cached_property
    def pictures(self) -> Pictures:
        """JPEGs of quality 2: what the face detector gets, and what the crops are cut from."""
        return _pictures(self._input(), 2, self._folder, "pictures.mjpeg")

    @cached_property
    def sound(self) -> Float32:
        """The sound of the encoded video: (S,) mono at 16 kHz."""
        return _sound([*self._input(), *_WAV, "pipe:1"], self._video, self._name)

    def frames(self) -> Iterator[UInt8]:
        """The pictures of the encoded video itself, (H, W, 3) RGB, as OpenCV decodes them: what scenes are cut by."""
        import cv2

        capture = cv2.VideoCapture(str(self._video), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        try:
            while True:
                there, frame = capture.read()
                if not there:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    def _input(self) -> list[str]:
        return ["-i", f"file:{self._video}"]


# -- from the released file ----------------------------------------------------------------------------------


def jpegs_of(path: Path) -> Pictures:
    """The pictures of a video file as the scripts get them: every frame of the file through one JPEG generation."""
    return _pictures(_file(path), None, Folder(), "pictures.mjpeg")


def sound_of(path: Path) -> Float32:
    """The sound of a video file as the scripts get it: (S,) float32 mono at 16 kHz, whole 16-bit steps."""
    return _sound([*_file(path), "-async", "1", *_WAV, "pipe:1"], path, path.name)


def voice_of(path: Path) -> Float32:
    """The sound of a file brought to 16 kHz mono and no more, as MoChaBench reads its voice."""
    plain = ["-vn", "-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
    return _sound([*_file(path), *plain], path, path.name)


def first_generation_of(path: Path, container: Container) -> Coded:
    """The released file at 25 frames a second in the container of a script; without sound if it has none."""
    folder = Folder()
    video = folder.path / f"video.{container}"
    encode = ["-qscale:v", "2", "-async", "1", "-r", str(FPS), "-threads", "1", f"file:{video}"]
    run([*_file(path), *encode], path.name)
    return Coded(video, folder, path.name)


# -- from the canvas and the voice of a shard ----------------------------------------------------------------


def jpegs(frames: UInt8) -> UInt8:
    """Frames (T, H, W, 3) RGB as `ffmpeg -f image2 %06d.jpg` writes them and OpenCV reads them; same shape.

    The encoder's rate control carries over from frame to frame, so a frame depends on those before it.
    """
    size = _size(frames)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
    # JPEGs of the scripts come from 4:2:0 video; from RGB ffmpeg would choose 4:4:4.
    out = run([*raw, *_jpeg_options(None), "-pix_fmt", "yuvj420p", "pipe:1"], "frames", stdin=frames)
    pictures = [decoded(out[start:stop]) for start, stop in split(out)]
    if len(pictures) != len(frames):
        raise BadMedia(
            Reason.DECODE_ERROR, f"{len(pictures)} JPEGs came out of ffmpeg, expected {len(frames)}"
        )
    return np.stack(pictures)


def first_generation(frames: UInt8, audio: Float32, container: Container) -> Coded:
    """One encoding of picture and sound, as the detector and the crops of a script get them.

    frames: (T, H, W, 3) RGB with even sides, audio: (S,) float32. What comes out may be some frames longer.
    """
    size = _size(frames)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise BadInput(f"frames are {size}; 4:2:0 video needs even sides")
    folder = Folder()
    sound, video = folder.path / "sound.wav", folder.path / f"video.{container}"
    _write_wav(sound, audio)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(FPS), "-i", "pipe:0"]
    encode = ["-qscale:v", "2", "-async", "1", "-r", str(FPS), "-pix_fmt", "yuv420p", f"file:{video}"]
    run([*raw, "-i", f"file:{sound}", "-threads", "1", *encode], video.name, stdin=frames)
    return Coded(video, folder, "the canvas")


# -- the crops of a track ------------------------------------------------------------------------------------


def second_generation(crops: UInt8, audio: Float32, container: Container) -> tuple[UInt8, Float32]:
    """The input of the network: OpenCV's video of a track's crops, sound copied (AVI) or as aac (MP4), then JPEG."""
    import cv2

    _size(crops)
    with tempfile.TemporaryDirectory(prefix="tkbench-lossy-") as place:
        silent, sound, video = (
            Path(place) / name for name in (f"silent.{container}", "sound.wav", f"crop.{container}")
        )
        code = cv2.VideoWriter_fourcc(*FOURCC[container])  # type: ignore[attr-defined]
        writer = cv2.VideoWriter(str(silent), code, float(FPS), (crops.shape[2], crops.shape[1]))
        if not writer.isOpened():
            raise UsageError(
                f"this OpenCV cannot write {FOURCC[container]} video; install opencv-contrib-python"
            )
        for crop in crops:
            writer.write(np.ascontiguousarray(crop[..., ::-1]))
        writer.release()
        _write_wav(sound, audio)
        joined = ["-c:v", "copy", "-c:a", SOUND_CODEC[container], f"file:{video}"]
        run(["-i", f"file:{silent}", "-i", f"file:{sound}", *joined], video.name)
        source = ["-i", f"file:{video}"]
        pictures = run([*source, "-threads", "1", *_jpeg_options(None), "pipe:1"], video.name)
        heard = run([*source, "-async", "1", *_WAV, "pipe:1"], video.name)
    return np.stack([decoded(pictures[start:stop]) for start, stop in split(pictures)]), _samples(heard)


_WAV = ["-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", str(SAMPLE_RATE), "-f", "s16le"]


def _file(path: Path) -> list[str]:
    """A file of a stranger as input: no playlist, no other protocol."""
    guard = ["-format_whitelist", FORMATS, "-protocol_whitelist", "file"]
    return [*guard, "-i", f"file:{path.absolute()}"]


def _jpeg_options(quality: int | None) -> list[str]:
    scale = [] if quality is None else ["-qscale:v", str(quality)]
    return [*scale, "-an", "-c:v", "mjpeg", "-threads", "1", "-f", "image2pipe"]


def _pictures(source: list[str], quality: int | None, folder: Folder, name: str) -> Pictures:
    file = folder.path / name
    run([*source, "-threads", "1", *_jpeg_options(quality), f"file:{file}"], name)
    return Pictures(file, folder)


def _sound(arguments: list[str], file: Path, name: str) -> Float32:
    """The samples that ffmpeg reads from a file; BadMedia(NO_AUDIO) where it has no sound. name: what to call it."""
    try:
        return _samples(run(arguments, name))
    except BadMedia as error:
        with open_container(file) as box:
            silent = not box.streams.audio
        if silent:
            raise BadMedia(Reason.NO_AUDIO, f"{name} has no sound; put its voice into the file") from error
        raise


def _write_wav(path: Path, audio: Float32) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_int16(audio).tobytes())


def _size(frames: UInt8) -> str:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise BadInput(
            f"frames are {frames.dtype} {frames.shape}; expected uint8 (T, H, W, 3) with T of 1 or more"
        )
    return f"{frames.shape[2]}x{frames.shape[1]}"


def _samples(raw: bytes) -> Float32:
    return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
