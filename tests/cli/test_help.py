"""Help of commands and what it imports."""

from __future__ import annotations

import subprocess
import sys


def test_the_help_imports_no_parsers_and_leaves_them_to_others() -> None:
    code = (
        "import contextlib, io, sys\n"
        "from cifar_lab.cli import main\n"
        "sys.argv = ['cifar-lab', 'run', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit): main()\n"
        "print(sorted({'markdown_it', 'numpy', 'pygments', 'torch'} & set(sys.modules)))\n"
        "from rich.markdown import Markdown\n"
        "print('--epochs' in shown.getvalue(), Markdown('*').__class__.__module__, 'markdown_it' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\nTrue rich.markdown True\n", "")
