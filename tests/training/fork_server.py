"""Makes the run of each line on standard input in a child process of its own, which waits at every event.

The child tells its event and goes on when it reads a byte, so that a test can kill it at exactly that place. A child
is there in milliseconds, because torch is imported already.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from cifar_lab.execution.protocol import decode_job
from cifar_lab.training.events import Event, Message, encode_event
from cifar_lab.training.run import make_run


def say(event: dict[str, Any]) -> None:
    os.write(1, (json.dumps(event) + "\n").encode())


def say_and_wait(event: Event) -> None:
    say({**json.loads(encode_event(Message(event))), "pid": os.getpid()})
    os.read(0, 1)


def main() -> None:
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            code = 1
            try:
                make_run(decode_job(line), say_and_wait, lambda: False)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        say({"event": "ended", "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
