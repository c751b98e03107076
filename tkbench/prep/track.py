"""From detections to tracks: which face is followed, where its canvas lies, where a run of it begins and ends.

A detection is a box (x0, y0, x1, y1) in pixels of the shown picture. A track is the same face in every picture of a
run; a run never crosses a cut. Before the tracker runs, `choose_face` and `canvas_of` decide from a few pictures of
the clip. While it runs, `CutDetector` looks at the picture and `JumpDetector` at the box. Afterwards `runs` divides
the clip and `fill` closes short gaps. All are functions of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tkbench.media import Cut
from tkbench.types import Array, Float32

HEAD_SCALE = 2.4
"""Side of a head canvas over the side of the detector's box (about 2.2 times the height of the landmarks' box)."""

SMALLER = 0.5
"""Share of the detector's box that the landmarks' box must fill (it is about as large): a smaller face is another one,
somewhere in a box that was none."""


@dataclass(frozen=True, slots=True)
class ChosenFace:
    """The face that a clip is about, in pixels of the shown picture."""

    boxes: Float32
    """(N, 4) where it was seen."""
    others: Float32
    """(M, 4) boxes of the faces that were not chosen."""
    n_faces: int
    """The largest number of faces that at least a fifth of the pictures show at once."""
    place: int = 0
    """Which of the candidates it is."""

    @property
    def union(self) -> Array:
        """(4,) the box around all boxes."""
        return np.concatenate([self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)])

    @property
    def side(self) -> float:
        """A typical side of its box: the 80th percentile, so that one step towards the camera does not
        decide.
        """
        return float(np.percentile((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1), 80))


@dataclass(slots=True)
class Candidate:
    """One face of a clip, as the looks saw it."""

    boxes: list[Array] = field(default_factory=list)
    """(4,) each."""
    looks: list[int] = field(default_factory=list)
    """In which look each of them was seen."""
    confirmed: int = 0
    """Looks in which the landmarks' network says as well that this is a face."""


def find_candidates(looks: Sequence[Array]) -> list[Candidate]:
    """The faces in the boxes (N, 4+) of a few pictures: boxes of neighbouring looks that lie on each other are one."""
    groups: list[Candidate] = []
    for number, boxes in enumerate(looks):
        taken: set[int] = set()
        for box in sorted(
            (row[:4] for row in np.asarray(boxes, np.float64)), key=lambda row: (row[0], row[1])
        ):
            fits = [
                (_distance(group.boxes[-1], box), index)
                for index, group in enumerate(groups)
                if index not in taken and _distance(group.boxes[-1], box) < 0.75
            ]
            index = min(fits)[1] if fits else len(groups)
            if index == len(groups):
                groups.append(Candidate())
            groups[index].boxes.append(box)
            groups[index].looks.append(number)
            taken.add(index)
    return groups


def choose_face(looks: Sequence[Array], width: int, height: int) -> ChosenFace | None:
    """The face to follow, from the boxes (N, 4+) of a few pictures all over the clip; None where no picture
    has one.
    """
    ranked = rank_faces(find_candidates(looks), looks, width, height)
    return ranked[0] if ranked else None


def rank_faces(
    groups: Sequence[Candidate], looks: Sequence[Array], width: int, height: int, *, confirmed: bool = False
) -> list[ChosenFace]:
    """The faces that may be followed, the best first.

    The rule: each time it is seen, a face earns its side in pixels, times 1 in the middle of the picture down to 0.5 in
    a corner; the face that earned most is followed. So a large, central and lasting face wins; ties go to the one seen
    first, then to the left one. confirmed: first comes what the landmarks' network confirms: a face that it confirms in
    less than half as many looks as the one it confirms most often comes behind those, however large it is; one that it
    never confirms, last.
    """
    centre = np.array([width, height]) / 2
    reach = float(np.linalg.norm(centre))
    most = max((group.confirmed for group in groups), default=0)

    def earned(group: Candidate) -> float:
        total = 0.0
        for box in group.boxes:
            off = float(np.linalg.norm((box[:2] + box[2:]) / 2 - centre)) / reach
            total += float((box[2:] - box[:2]).max()) * (1.0 - 0.5 * min(off, 1.0))
        return total

    def standing(group: Candidate) -> int:
        return 0 if not confirmed else (2 * group.confirmed >= most) + (group.confirmed > 0)

    order = sorted(
        range(len(groups)), key=lambda index: (-standing(groups[index]), -earned(groups[index]), index)
    )
    count = count_faces([len(boxes) for boxes in looks])
    ranked = []
    for best in order:
        # Not confirmed is not there: it must not narrow the window of the others.
        rivals = [g for k, g in enumerate(groups) if k != best and (not confirmed or g.confirmed)]
        others = [box for group in rivals for box in group.boxes]
        ranked.append(
            ChosenFace(
                np.array(groups[best].boxes, np.float32),
                np.array(others, np.float32).reshape(-1, 4),
                count,
                best,
            )
        )
    return ranked


def take_turns(groups: Sequence[Candidate]) -> list[Candidate]:
    """The best face, and with it those that are never seen at the same time: speakers who take turns in shots of their
    own share one canvas, if each of them keeps at least a sixth of its side.

    groups: confirmed faces, the best first.
    """
    together = [groups[0]]
    for group in groups[1:]:
        seen = {look for other in together for look in other.looks}
        if seen & set(group.looks) or not group.confirmed:
            continue
        boxes = np.array([box for one in (*together, group) for box in one.boxes])
        whole = float((boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).max())
        sides = [float(np.median(np.ptp(np.array(one.boxes).reshape(-1, 2, 2), axis=1).max(axis=1)))
                 for one in (*together, group)]  # fmt: skip
        if whole <= 5 * min(sides):
            together.append(group)
    return together


def united(together: Sequence[Candidate], groups: Sequence[Candidate], n_faces: int) -> ChosenFace:
    """Several faces as the one that a clip is about; the others are those that are confirmed besides."""
    boxes = [box for one in together for box in one.boxes]
    rest = [
        box
        for one in groups
        if one.confirmed and not any(one is mine for mine in together)
        for box in one.boxes
    ]
    return ChosenFace(np.array(boxes, np.float32), np.array(rest, np.float32).reshape(-1, 4), n_faces)


def _distance(one: Array, two: Array) -> float:
    """Distance of the centres in units of the mean side; infinite for boxes of very different size."""
    sides = [float((box[2:] - box[:2]).max()) for box in (one, two)]
    if max(sides) > 2 * max(min(sides), 1e-6):
        return float("inf")
    shift = float(np.linalg.norm((one[:2] + one[2:] - two[:2] - two[2:]) / 2))
    return shift / (sum(sides) / 2)


def count_faces(counts: Sequence[int]) -> int:
    """The largest number of faces that at least a fifth of the pictures show at once.

    >>> count_faces([1, 1, 2, 1, 1, 1]), count_faces([2, 2, 1]), count_faces([])
    (1, 2, 0)
    """
    need = max(1, -(-len(counts) // 5))
    return max((n for n in set(counts) if sum(count >= n for count in counts) >= need), default=0)


def canvas_of(width: int, height: int, face: ChosenFace | None, max_side: int) -> tuple[str, Cut] | None:
    """The canvas of a clip: ("whole" or "head", window). None where a head canvas is needed and no face was
    seen.

    A picture whose longer side is at most `max_side` is the canvas (an odd last row or column is cut off,
    which video in 4:2:0 cannot hold). A larger one is cut to a square around the face, once for the whole
    clip, and brought down to `max_side`, never up.
    """
    if max(width, height) <= max_side:
        even = (width // 2 * 2, height // 2 * 2)
        return "whole", Cut(0, 0, *even, *even)
    if face is None:
        return None
    box = face.union
    wanted = max(HEAD_SCALE * face.side, float((box[2:] - box[:2]).max()) + 0.9 * face.side)
    # Steps of 16 pixels: the last digit of a detection shall not move the canvas.
    side = min(int(-(-wanted // 16) * 16), width // 2 * 2, height // 2 * 2)
    x, y = (
        int(np.clip(round((float(low + high) / 2 - side / 2) / 8) * 8, 0, (length - side) // 2 * 2))
        for low, high, length in ((box[0], box[2], width), (box[1], box[3], height))
    )
    out = min(side, max_side)
    return "head", Cut(x, y, side, side, out, out)


def window_of(face: ChosenFace | None, cut: Cut) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 in canvas pixels: where the tracker may look, so that it never jumps to another face.

    None, the whole canvas, where only one face was seen.
    """
    if face is None or face.n_faces < 2 or not len(face.others):
        return None
    scale = np.array([cut.out_width / cut.width, cut.out_height / cut.height] * 2)
    origin = np.array([cut.x, cut.y] * 2)
    mine, others = (face.union - origin) * scale, (face.others - origin) * scale
    grow = 0.6 * face.side * scale[0]
    x0, y0, x1, y1 = mine[0] - grow, mine[1] - grow, mine[2] + grow, mine[3] + grow
    middle = (mine[0] + mine[2]) / 2
    for box in others:
        if box[3] < y0 or box[1] > y1:
            continue
        # Half way to a neighbour is as far as the window goes.
        if (box[0] + box[2]) / 2 > middle:
            x1 = min(x1, max(mine[2], (mine[2] + box[0]) / 2))
        else:
            x0 = max(x0, min(mine[0], (mine[0] + box[2]) / 2))
    x0, x1 = int(max(0, x0)), int(min(cut.out_width, np.ceil(x1)))
    y0, y1 = int(max(0, y0)), int(min(cut.out_height, np.ceil(y1)))
    return (x0, y0, x1, y1) if x1 - x0 >= 16 and y1 - y0 >= 16 else None


def tracked_at_half_size(face: ChosenFace | None, cut: Cut, *, enough: float = 220.0) -> bool:
    """Whether the canvas is halved for tracking, because the face stays larger than the network's own input.

    enough: side of the detector's box on the canvas, pixels, from which on that is so. Face Mesh is given a face in
    192 x 192 pixels, of which the face's box is two thirds: with 220 pixels or more, half of the canvas still has as
    many. The mean of four pixels is also a better reduction than the four-pixel look-up inside the network's graph.
    """
    if face is None or cut.out_width % 4 or cut.out_height % 4:
        return False
    return bool(face.side * cut.out_width / cut.width >= enough)


class CutDetector:
    """Tells whether a picture begins a new shot, from the brightness of 32 x 32 cells.

    Across a cut the two pictures have nothing in common: their correlation is near 0. Motion keeps most of
    it, however fast: over 5,000 frames of real talking heads the lowest was 0.44 without a cut (a singer's
    arms), and the highest 0.26 with one.
    """

    def __init__(self, *, below: float = 0.35, floor: float = 4.0) -> None:
        self._below, self._floor = below, floor
        self._last: Float32 | None = None

    def is_cut(self, cells: Array) -> bool:
        """cells: (32, 32) mean brightness 0-255 of the next picture."""
        now = cells.astype(np.float32)
        # Without its mean, so that a flash or a fade of the whole picture is no cut.
        now -= now.mean()
        last, self._last = self._last, now
        if last is None:
            return False
        if float(np.abs(now - last).mean()) < self._floor:
            return False  # two nearly flat pictures: their correlation is noise
        both = float((now * last).sum())
        return both < self._below * float((now * now).sum() * (last * last).sum()) ** 0.5


class JumpDetector:
    """Tells whether the box of a face jumped, as it does at a cut between two similar pictures.

    A box that moves by 0.4 of its side, or changes size by two thirds, in 40 ms is not one moving face. Half
    of that is a jump if it is also six times what the face did just before.
    """

    def __init__(self) -> None:
        self._last: list[float] | None = None
        self._steps: list[float] = []

    def forget(self) -> None:
        """A new shot began."""
        self._last, self._steps = None, []

    def is_jump(self, box: Array) -> bool:
        """box: (4,) x0, y0, x1, y1 of the landmarks in the next picture that shows the face."""
        now = [float(value) for value in box]
        last, self._last = self._last, now
        if last is None:
            return False
        (a0, b0, a1, b1), (c0, d0, c1, d1) = last, now
        side = max(a1 - a0, b1 - b0, 1e-6)
        grown = max(c1 - c0, d1 - d0) / side
        shift = ((c0 + c1 - a0 - a1) ** 2 + (d0 + d1 - b0 - b1) ** 2) ** 0.5 / (2 * side)
        step = max(shift, abs(grown - 1) / 2)
        usual = sorted(self._steps)[len(self._steps) // 2] if len(self._steps) >= 4 else None
        jump = shift > 0.4 or not 0.6 < grown < 1.67
        jump = jump or (usual is not None and step > 0.2 and step > 6 * usual)
        self._steps = [] if jump else [*self._steps[-8:], step]
        return jump


def runs(
    found: Array, starts: Array, *, max_gap: int, min_frames: int, max_frames: int
) -> list[tuple[int, int]]:
    """Frames [start, stop) of each run in which one face is followed without a break.

    found: (T,) bool, the face was tracked. starts: (T,) bool, a new shot begins. Gaps of at most `max_gap`
    frames inside a shot belong to the run; runs begin and end with a tracked frame; those shorter than
    `min_frames` are left out. A run never crosses the marks that divide the clip into equal parts of at most
    `max_frames`.

    >>> runs(np.array([1, 1, 0, 1, 1, 1], bool), np.zeros(6, bool), max_gap=1, min_frames=2, max_frames=100)
    [(0, 6)]
    """
    total = len(found)
    if total == 0:
        return []
    part = -(-total // -(-total // max_frames))
    out: list[tuple[int, int]] = []
    begin = last = -1
    for t in range(total + 1):
        broken = t == total or bool(starts[t]) or (t > 0 and t % part == 0)
        if begin >= 0 and (broken or t - last > max_gap + 1 or (found[t] and t - last - 1 > max_gap)):
            if last + 1 - begin >= min_frames:
                out.append((begin, last + 1))
            begin = -1
        if t < total and found[t]:
            begin = t if begin < 0 else begin
            last = t
    return out


def fill(landmarks: Array, found: Array) -> Float32:
    """Landmarks (T, N, 2) with the frames that were not found replaced, linearly from their neighbours.

    The first and the last frame must be found, as `runs` sees to.
    """
    out = np.array(landmarks, np.float32)
    good = np.flatnonzero(found)
    for t in np.flatnonzero(~np.asarray(found, bool)):
        after = int(np.searchsorted(good, t))
        a, b = int(good[after - 1]), int(good[after])
        share = np.float32((t - a) / (b - a))
        out[t] = (1 - share) * out[a] + share * out[b]
    return out
