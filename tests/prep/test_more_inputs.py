"""Odd files of other kinds than those of the fuzz script, judged by the same numbered pictures and the same noise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import fuzz_prep
from fuzz_prep import Maker, ffmpeg

H264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p"]


def edit_list(m: Maker) -> None:
    """An mp4 whose edit list leaves out what comes before a keyframe: a cut without encoding."""
    video, voice = m.raw()
    whole = m.folder / "whole.mp4"
    ffmpeg(
        *m.inputs(video, voice, offset=0.0),
        "-map",
        "0:v",
        "-map",
        "1:a",
        *H264,
        "-g",
        20,
        "-c:a",
        "aac",
        whole,
    )
    ffmpeg("-ss", 0.5, "-i", whole, "-c", "copy", m.file)
    skipped_times(m, 0.5)


def skipped_times(m: Maker, seconds: float) -> None:
    """The clip begins so many seconds later: earlier pictures and sound are gone."""
    first = int(np.ceil(seconds * m.case.fps - 1e-6))
    m.truth.sound = m.truth.sound[round(first / m.case.fps * 16000) :]
    m.truth.times = m.truth.times - first / m.case.fps


def odd_start(m: Maker) -> None:
    """All stamps of a WebM begin at 1234.567 s."""
    m.plain("-output_ts_offset", 1234.567)


def negative_cts(m: Maker) -> None:
    """A mov with B-pictures whose composition offsets are negative."""
    m.plain("-bf", 3, "-movflags", "+negative_cts_offsets")


def fragments(m: Maker) -> None:
    """A fragmented mp4, as streaming sites store it."""
    m.plain("-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-g", 12)


def dropped_pictures(m: Maker) -> None:
    """An AVI in which every seventh picture is an empty chunk: shown as the one before."""
    m.plain("-bf", 0, "-vf", "select='mod(n,7)-6'")


def phone(m: Maker) -> None:
    """A phone's video: variable rate, turned by a quarter, sound of 48 kHz."""
    m.rate = 48000
    fuzz_prep.make_vfr(m)
    flat = m.folder / "flat.mp4"
    ffmpeg("-i", m.file, "-vf", "transpose=cclock", "-fps_mode", "passthrough", "-enc_time_base:v", "1:1000", *H264,
           "-c:a", "copy", flat)  # fmt: skip
    ffmpeg("-display_rotation", -90, "-i", flat, "-c", "copy", m.file)


def turned_and_mirrored(m: Maker) -> None:
    """A display matrix that mirrors and turns."""
    stored = m.folder / "stored.mp4"
    final, m.file = m.file, stored
    m.plain("-vf", "transpose=clock,hflip")
    m.file = final
    ffmpeg("-display_rotation", -90, "-display_hflip", "-i", stored, "-c", "copy", "-map", 0, final)


def surround(m: Maker) -> None:
    """Sound of six channels, the voice in the middle one only."""
    m.plain("-af", "pan=5.1|FC=c0", "-ac", 6)


def ten_bits(m: Maker) -> None:
    """HEVC with 10 bits."""
    m.plain("-pix_fmt", "yuv420p10le")


def png_pictures(m: Maker) -> None:
    """PNG pictures in Matroska."""
    video, voice = m.raw()
    ffmpeg(*m.inputs(video, voice), "-map", "0:v", "-map", "1:a", "-c:v", "png", "-c:a", "flac", m.file)


def ntsc(m: Maker) -> None:
    """29.97 pictures a second."""
    m.plain()


def interlaced_60(m: Maker) -> None:
    """MPEG-2 with 29.97 interlaced pictures a second, bottom field first, pixels not square."""
    m.plain("-flags", "+ildct+ilme", "-vf", "setfield=bff,setsar=10/11")


def alpha_webm(m: Maker) -> None:
    """VP9 with an alpha channel."""
    m.plain("-pix_fmt", "yuva420p", "-auto-alt-ref", 0)


def empty_sound_packets(m: Maker) -> None:
    """Every fifth packet of the sound is lost."""
    whole = m.folder / "whole.mkv"
    final, m.file = m.file, whole
    m.plain("-bf", 0)
    m.file = final
    with av.open(str(whole)) as box, av.open(str(final), "w") as target:
        sources = [box.streams.video[0], box.streams.audio[0]]
        streams = [target.add_stream_from_template(source) for source in sources]
        count = 0
        for packet in box.demux(sources):
            if packet.dts is None:
                continue
            if packet.stream is sources[1]:
                count += 1
                if count % 5 == 0:
                    continue
            packet.stream = streams[sources.index(packet.stream)]
            target.mux(packet)
    m.truth.loose = True  # what is lost cannot be compared; what is there must be in time


def text_beside(m: Maker) -> None:
    """A data track, subtitles and chapters besides, the sound before the picture in the file."""
    video, voice = m.raw()
    text = m.folder / "text.srt"
    text.write_text("1\n00:00:00,500 --> 00:00:01,000\nhello\n")
    ffmpeg(*m.inputs(video, voice), "-i", text, "-map", "2:s", "-map", "1:a", "-map", "0:v", *H264, "-c:a", "aac",
           "-c:s", "srt", m.file)  # fmt: skip


def two_pictures(m: Maker) -> None:
    """A preview of low quality is the first video track, the default one the second."""
    video, voice = m.raw()
    ffmpeg(*m.inputs(video, voice), "-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=2", "-map", "2:v",
           "-map", "0:v", "-map", "1:a", *H264, "-c:a", "aac", "-disposition:v:0", 0, "-disposition:v:1", "default",
           m.file)  # fmt: skip


INPUTS: list[tuple[Callable[[Maker], None], str, str, str, float, float]] = [
    # how it is made, container, codecs, rate, offset of the sound
    (edit_list, "mp4", "h264", "aac", 25.0, 0.0),
    (edit_list, "mkv", "h264", "aac", 25.0, 0.0),
    (odd_start, "webm", "vp8", "opus", 30.0, 0.1),
    (odd_start, "flv", "h264", "aac", 25.0, -0.1),
    (negative_cts, "mov", "h264", "aac", 25.0, 0.1),
    (fragments, "mp4", "h264", "aac", 30.0, 0.1),
    (fragments, "mov", "h264", "aac", 25.0, 0.25),
    (dropped_pictures, "avi", "mpeg4", "pcm", 25.0, 0.0),
    (phone, "mp4", "h264", "aac", 25.0, 0.0),
    (turned_and_mirrored, "mp4", "h264", "aac", 25.0, 0.0),
    (surround, "mkv", "h264", "ac3", 25.0, 0.1),
    (ten_bits, "mp4", "hevc", "aac", 24.0, 0.1),
    (png_pictures, "mkv", "ffv1", "flac", 20.0, 0.25),
    (ntsc, "ts", "h264", "ac3", 30000 / 1001, 0.1),
    (ntsc, "mov", "prores", "pcm", 30000 / 1001, -0.1),
    (ntsc, "mpg", "mpeg2", "mp2", 30000 / 1001, 0.0),
    (interlaced_60, "ts", "mpeg2", "mp2", 30000 / 1001, 0.1),
    (alpha_webm, "webm", "vp9", "opus", 25.0, 0.1),
    (empty_sound_packets, "mkv", "h264", "flac", 25.0, 0.1),
    (text_beside, "mkv", "h264", "aac", 25.0, 0.1),
    (two_pictures, "mkv", "h264", "aac", 25.0, 0.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "container", "video", "audio", "fps", "offset"),
    INPUTS,
    ids=[f"{entry[0].__name__}-{entry[1]}" for entry in INPUTS],
)
def test_an_odd_file_keeps_step(
    make: Callable[[Maker], None],
    container: str,
    video: str,
    audio: str,
    fps: float,
    offset: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The judge knows that a turned file's stored pictures cannot be read.
    kind = "turned" if make in (phone, turned_and_mirrored) else "plain"
    monkeypatch.setitem(fuzz_prep.KINDS, kind, (make, (container,), None, None))
    case = replace(
        fuzz_prep.draw(0, 5, kind),
        container=container,
        video=video,
        audio=audio,
        fps=fps,
        offset=offset,
        frames=64,
    )
    found = fuzz_prep.run_case(case, tmp_path / "case")
    assert found.result == "right", found.detail
