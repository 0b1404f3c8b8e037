"""One packetdrill script on the golden device: `python -m tb.sabotage.witness_model FOLDER SCRIPT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tb.sabotage.witness_verdict import Verdict, write
from tb.script.player import Player
from tb.script.run_packetdrill import item
from tb.script.stage import play


def main(out: Path, file: Path) -> None:
    """Play it; the verdict is in ``out``."""
    script = item(file).script
    if script is None:
        write(out, Verdict("", 0, "", ended=f"{file}: cannot be read"))
        return
    player = Player(script)
    ended = ""
    try:
        ended = "; ".join(play([player], out))
    except Exception as error:  # noqa: BLE001 - a broken model may end in any way; the script may have spoken
        ended = f"{type(error).__name__}: {error}"
    result = player.result
    write(
        out, Verdict("", 0, "", ended=ended) if result is None else Verdict(result.status, result.line, result.reason)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
