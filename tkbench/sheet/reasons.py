"""What each reason for skipping a clip means, and what to do."""

from __future__ import annotations

FILE, SOUND, FACE, OURS = "the file", "its sound", "its face", "the run"

REASONS: dict[str, tuple[str, str, str]] = {
    "missing-file": (
        FILE,
        "The list names it, but the file does not exist.",
        "Download it, or leave it out of the list.",
    ),
    "empty-file": (FILE, "It has no bytes.", "Copy it again from its source."),
    "not-a-video": (
        FILE,
        "It is no video file that can be opened.",
        "Check its first bytes: often it is a web page.",
    ),
    "no-video-stream": (FILE, "It has no picture.", "Is this the sound of another file?"),
    "truncated": (FILE, "It ends before its own end.", "Copy it again from its source."),
    "decode-error": (FILE, "Its pictures cannot be decoded.", "Play it in another program; copy it again."),
    "unreadable": (FILE, "The system does not allow reading it.", "Check permissions and the disk."),
    "too-short": (FILE, "It has fewer frames than a sample needs.", "Nothing: it cannot be scored."),
    "no-audio-stream": (SOUND, "It has no sound.", "Add its sound, or leave it out."),
    "silent-audio": (SOUND, "Its sound is silence.", "Check how the sound was taken from its source."),
    "audio-too-short": (SOUND, "Its sound ends long before its picture.", "Check how the two were cut."),
    "no-face": (FACE, "No face was found in any frame.", "Watch it; try another tracker."),
    "face-lost": (
        FACE,
        "No face was found for long enough without a break.",
        "Watch it: cuts, turns, hands.",
    ),
    "face-too-small": (FACE, "The face has too few pixels.", "Take a larger version of the video."),
    "internal-error": (OURS, "A fault in the program.", "Report it, with the detail below."),
    "process-died": (OURS, "The process that worked on it died.", "Run again; if it stays, report the file."),
}
"""Reason -> (what it is about, what it means, what to do)."""


def explain(reason: str) -> tuple[str, str, str]:
    """(what it is about, what it means, what to do) of a reason; empty meanings for an unknown one."""
    return REASONS.get(reason, ("", "", "See the detail of each clip."))
