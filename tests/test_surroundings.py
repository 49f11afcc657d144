"""Full disks, closed streams, terminals of few characters, no home, wrong variables: right, or one line."""

import contextlib
import errno
import io
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import jax
import pytest

from potstill import cli
from potstill.data.files import find_user_folder
from potstill.environments.making import import_mujoco
from potstill.errors import PotstillError, repeat_warnings
from potstill.runtime.devices import start_jax
from potstill.runtime.files import write_atomically
from potstill.runtime.streams import SafeStream, safe_streams


class Failing(io.StringIO):
    """A stream that raises when it is flushed."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def command(monkeypatch):
    """Let the command line call a function instead of a command."""

    def replace(function):
        monkeypatch.setattr(cli, "make_app", lambda *args, **options: lambda *args, **options: function())
        return lambda: cli.main(["inspect"])

    return replace


def test_characters_that_a_terminal_lacks_are_replaced(command, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert command(lambda: print("79.2 ± 24.9 – π"))() == 0
    stream.seek(0)
    assert stream.read() == "79.2 ? 24.9 ? ?\n"


@pytest.mark.parametrize(("number", "code"), [(errno.EPIPE, 0), (errno.ENOSPC, 2)])
def test_a_run_goes_on_without_output(command, monkeypatch, capsys, number, code):
    """If the reader of a pipe stops, that is no error; if the disk is full, the exit code says so."""
    monkeypatch.setattr(sys, "stdout", Failing(number))
    done = []

    def work():
        for step in range(3):
            print(step, flush=True)
            done.append(step)

    assert command(work)() == code
    assert done == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert lines == ([] if code == 0 else ["potstill: cannot write to the standard output: No space left on device"])


def test_streams_are_put_back(monkeypatch):
    before = sys.stdout, sys.stderr
    with safe_streams() as output:
        assert sys.stdout is output
        assert not output.isatty()
    assert (sys.stdout, sys.stderr) == before
    with contextlib.redirect_stdout(None), safe_streams():
        print("nowhere")


def test_a_closed_stream_is_dropped():
    stream = io.StringIO()
    stream.close()
    output = SafeStream(stream)
    assert output.write("text") == 4
    assert isinstance(output.failure, ValueError)


def test_descriptors_that_are_closed_are_not_reused(tmp_path):
    """A file that is opened next must not become the standard error of some library."""
    code = """
import os
from potstill.runtime.streams import safe_streams
with safe_streams():
    print("nowhere")
    with open("data", "wb") as file:
        assert file.fileno() > 2
        os.write(2, b"a warning")
"""
    subprocess.run(
        ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code], cwd=tmp_path, check=True, env=os.environ
    )
    assert (tmp_path / "data").read_bytes() == b""


def test_errors_of_the_system_are_one_line(command, capsys):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "curve.png")

    def memory():
        raise MemoryError("Unable to allocate 5.8 TiB")

    assert command(full)() == command(memory)() == 2
    assert capsys.readouterr().err.splitlines() == [
        "potstill: curve.png: No space left on device",
        "potstill: not enough memory (Unable to allocate 5.8 TiB)",
    ]


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    os.symlink("/dev/full", tmp_path / "result.json.partial")
    with pytest.raises(PotstillError, match=r"cannot write .*result.json: No space left on device"):
        write_atomically(path, b"new" * 10_000)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(PotstillError, match="cannot write"):
        write_atomically(tmp_path / "missing" / "x", b"")


def test_a_platform_that_jax_lacks_is_one_line(command, monkeypatch, capsys):
    def no_devices():
        raise AssertionError

    def fault():
        raise AssertionError("of our own")

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(AssertionError, match="of our own"):
        command(fault)()
    monkeypatch.setattr(jax, "devices", no_devices)
    line = "JAX cannot start with JAX_PLATFORMS=cuda: set JAX_PLATFORMS=cpu, or unset it (AssertionError)"
    with pytest.raises(PotstillError) as caught:
        start_jax()
    assert str(caught.value) == line
    assert command(no_devices)() == 2
    assert capsys.readouterr().err == f"potstill: {line}\n"


def test_double_precision_is_not_taken_from_the_surroundings(command, monkeypatch, capsys):
    """The same command would give other bytes."""
    monkeypatch.setenv("JAX_ENABLE_X64", "True")
    seen = []
    assert command(lambda: seen.append(os.environ["JAX_ENABLE_X64"]))() == 0
    assert seen == ["0"]
    assert capsys.readouterr().err == "potstill: warning: JAX_ENABLE_X64 is ignored: potstill computes in float32\n"
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    assert command(lambda: None)() == 0
    assert capsys.readouterr().err == ""


def test_a_backend_that_matplotlib_lacks_does_not_matter(monkeypatch, capsys):
    """As in a notebook, whose backend the environment of potstill need not have."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert cli.main(["--version"]) == 0
    assert os.environ["MPLBACKEND"] == "agg"


@pytest.mark.parametrize("named", ["osmesa", None])
@pytest.mark.parametrize("error", [AttributeError("'NoneType' object"), PermissionError(13, "no"), ImportError()])
def test_mujoco_needs_no_renderer(monkeypatch, error, named):
    tried = []

    def load(name):
        tried.append(os.environ.get("MUJOCO_GL"))
        if len(tried) == 1:
            raise error
        return import_module("math")

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if named is not None:
        monkeypatch.setenv("MUJOCO_GL", named)
    monkeypatch.setattr("potstill.environments.making.import_module", load)
    assert import_mujoco().__name__ == "math"
    assert tried == [named, "disable"]
    assert os.environ.get("MUJOCO_GL") == named
    monkeypatch.setattr("potstill.environments.making.import_module", import_module)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(PotstillError, match="MuJoCo cannot be imported"):
        import_mujoco()


def test_without_a_home_folder_a_variable_names_it(monkeypatch, tmp_path):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path))
    assert find_user_folder("D4RL_DATASET_DIR", ".d4rl") == tmp_path
    monkeypatch.delenv("D4RL_DATASET_DIR")
    with pytest.raises(PotstillError, match="no home folder: set D4RL_DATASET_DIR"):
        find_user_folder("D4RL_DATASET_DIR", ".d4rl")


def test_a_warning_is_printed_once_in_a_command(command, capsys):
    def warn_twice():
        for _ in range(2):
            repeat_warnings("a.safetensors", ["damped", "short"])

    main = command(warn_twice)
    for _ in range(2):
        assert main() == 0
        warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert warned == [f"potstill: warning: a.safetensors: {text}" for text in ("damped", "short")]


def test_warnings_name_the_line_of_the_caller(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, potstill\n"
        "x = np.linspace(-1.0, 1.0, 2000)\n"
        "rows = {'observations': x[:, None], 'actions': x[:, None], 'rewards': x, 'terminals': x > 2}\n"
        "potstill.load_dataset(rows)  # no time-outs are marked\n"
    )
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stderr
    assert f"{script}:4: PotstillWarning: arrays: nothing marks time-outs" in found
