"""``python -m demo``: the main job, end to end, on real parts, where one can watch it.

Exit code 0 when all is well, 1 when something is not (the last lines say what), 130 after Ctrl-C.
``story`` is what happens; this is how it starts and ends.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from demo import kept
from demo.board import Board
from demo.errors import DemoFault
from demo.s3server import ServerDidNotStart
from demo.screen import Screen, open_screen
from demo.story import Story

INTERRUPTED = 130
_TAIL = 15  # lines


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="From a pod's manifest to files in a bucket.")
    parser.add_argument("--keep", action="store_true", help="leave everything running, below .demo/")
    parser.add_argument("--stop", action="store_true", help="end a demo that was left running")
    options = parser.parse_args()
    if options.stop:
        print(f"{kept.stop(kept.DIRECTORY)} processes ended")
        return 0
    if options.keep and kept.DIRECTORY.exists():
        print("A demo is kept in .demo already; end it with: .venv/bin/python -m demo --stop", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(keep=options.keep)
    except KeyboardInterrupt:
        print("interrupted; everything that was started is stopped", file=sys.stderr)
        return INTERRUPTED


def _run(*, keep: bool) -> int:
    with ExitStack() as stack:
        state = _state(stack, keep=keep)
        board = Board()
        with open_screen(board) as screen:
            story = Story(state, screen, board, stack)
            try:
                summary = story.tell(keep=keep)
            except (DemoFault, ServerDidNotStart, OSError) as error:
                _explain(screen, error)
                return 1
            screen.verdict(summary, well=True)
        if keep:
            story.observer.stop()
            stack.pop_all()
            _look_around(story)
    return 0


def _state(stack: ExitStack, *, keep: bool) -> Path:
    if not keep:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="data-sync-demo-")))
    kept.DIRECTORY.mkdir()
    stack.callback(kept.stop, kept.DIRECTORY)
    return kept.DIRECTORY


def _explain(screen: Screen, error: Exception) -> None:
    log = error.log if isinstance(error, DemoFault) else None
    if log is not None and log.exists():
        screen.step(f"The end of {log.name}")
        screen.say("\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:]))
    screen.verdict(str(error) or type(error).__name__, well=False)


def _look_around(story: Story) -> None:
    state = story.state
    processes = [*story.runner.processes.values(), story.webhook.process]
    kept.remember(state, [story.server.pid, *(process.pid for process in processes if process is not None)])
    env = " ".join(f"{key}={text}" for key, text in story.texts.items())
    print(
        f"""
Everything keeps running, below {state}. To look around:

  the bucket            {env} {sys.executable} -m demo.bucket
  the sidecar's view    curl -s {story.runner.address}/status
  its metrics           curl -s {story.runner.address}/metrics
  its log               tail -f {state}/pod/data-sync.log
  the device's files    ls -R {story.export}
  send a file           echo hello > {story.export}/stats/hello.txt

To end it: {sys.executable} -m demo --stop"""
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
