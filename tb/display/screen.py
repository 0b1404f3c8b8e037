"""A virtual display (Xvfb) and GTKWave on it: what it shows as a picture, and what it says by its own Tcl."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tb.display.xwd import Picture, PictureError, read_xwd

PROGRAMS = ("Xvfb", "gtkwave")
SIZE = (1600, 900)
#: Seconds until a program must have answered; between looks; that a window may take to be drawn.
BOUND, STEP, DRAWN = 60.0, 0.1, 1.5
#: What GTKWave is asked: the marker, each trace with its value there. Tcl.
QUESTIONS = """set out [open {{{answer}.part}} w]
puts $out "marker [gtkwave::getMarker]"
for {{set i 0}} {{$i < [gtkwave::getTotalNumTraces]}} {{incr i}} {{
  puts $out "[gtkwave::getTraceNameFromIndex $i]\\t[gtkwave::getTraceValueAtMarkerFromIndex $i]"
}}
close $out
file rename -force {{{answer}.part}} {{{answer}}}
"""


class ScreenError(Exception):
    """A program of the display did not do what it should."""


def missing() -> str | None:
    """Why nothing can be shown here; None if it can."""
    lack = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no-x: {' and '.join(lack)} not installed (apt-get install -y xvfb gtkwave)" if lack else None


@dataclass(frozen=True)
class Shown:
    """What GTKWave has: the marker in the file's unit, values at the marker by name of the trace, the screen.

    `traces` are the same values in the order shown; there several traces may have one name.
    """

    marker: int
    values: dict[str, str]
    picture: Picture
    traces: tuple[tuple[str, str], ...] = ()


class Screen:
    """A display of its own, for as long as the block lasts."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._server: subprocess.Popen[bytes] | None = None
        self.name = ""

    def __enter__(self) -> Screen:
        folder = self._folder.name
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-fbdir", folder]
        self._server = subprocess.Popen(
            [*command, "-nolisten", "tcp"], pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            self.__exit__(None, None, None)
            raise ScreenError("Xvfb did not start")
        self.name = f":{number}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            end(self._server)
        self._folder.cleanup()

    def picture(self) -> Picture:
        """The screen as it is."""
        return read_xwd((Path(self._folder.name) / "Xvfb_screen0").read_bytes())

    def gtkwave(self, waves: Path, save: Path) -> Shown:
        """Open waves with a save file; raises ScreenError if GTKWave does not come up or shows nothing."""
        answer, script = (Path(self._folder.name) / name for name in ("answer.txt", "questions.tcl"))
        answer.unlink(missing_ok=True)
        script.write_text(QUESTIONS.format(answer=answer))
        environment = {**os.environ, "DISPLAY": self.name, "HOME": self._folder.name}
        viewer = subprocess.Popen(
            ["gtkwave", "-S", str(script), waves.name, str(save)],  # the name is the window's title
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=waves.parent,
        )  # fmt: skip
        try:
            until = time.monotonic() + BOUND
            while not answer.exists():
                if viewer.poll() is not None:
                    raise ScreenError(f"gtkwave ended with status {viewer.returncode}")
                if time.monotonic() > until:
                    raise ScreenError(f"gtkwave said nothing for {BOUND:.0f} s")
                time.sleep(STEP)
            picture = self._drawn()
        finally:
            end(viewer)
        first, *traces = answer.read_text().splitlines()
        rows = tuple((_short(name), value.strip()) for name, _, value in (line.partition("\t") for line in traces))
        values = dict(reversed(rows))  # of traces of one name the first counts
        return Shown(int(first.split()[1]), values, picture, rows)

    def _drawn(self) -> Picture:
        """The screen when it no longer changes."""
        until, last = time.monotonic() + BOUND, b""
        while time.monotonic() < until:
            time.sleep(DRAWN)
            picture = self.picture()
            now = b"".join(picture.rows)
            if now == last and picture.colours > 1:
                return picture
            last = now
        raise PictureError("the window was never drawn")


def _short(name: str) -> str:
    """A trace's name without its range."""
    return re.sub(r"\[\d+:\d+\]$", "", name)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program that this module started."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
