"""The last word: whatever happens, an exit code and a sentence, and a traceback only for who asks."""

import errno
import io
import os
import sys
from collections.abc import Callable

import pytest

from recsys.cli import commands
from recsys.cli.app import main


def _run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> object:
    def fail() -> None:
        raise error

    return _run_command(monkeypatch, fail)


def _run_command(monkeypatch: pytest.MonkeyPatch, command: Callable[[], None]) -> object:
    def app() -> None:
        command()
        sys.exit(0)

    monkeypatch.setattr(commands, "build_app", lambda: app)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


class _Full(io.StringIO):
    """Takes everything and, as a file on a full disk does, complains when it has to be written."""

    def __init__(self, fault: int) -> None:
        super().__init__()
        self.fault = fault

    def flush(self) -> None:
        raise OSError(self.fault, os.strerror(self.fault))


def test_a_defect_is_said_to_be_one_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RECSYS_LOG_LEVEL", raising=False)
    assert _run(monkeypatch, KeyError("surface")) == 1
    said = capsys.readouterr().err
    assert said.startswith("KeyError: 'surface'\n")
    assert "defect of recsys" in said
    assert "RECSYS_LOG_LEVEL=debug" in said


def test_who_asks_for_it_gets_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECSYS_LOG_LEVEL", "debug")
    assert _run(monkeypatch, KeyError("surface")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_while_modules_load_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "recsys.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "recsys.cli.commands")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""


def test_what_the_terminal_cannot_show_is_escaped_and_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    assert _run_command(monkeypatch, lambda: print("é → b")) == 0
    assert out.buffer.getvalue() == b"\xe9 \\u2192 b\n"


def test_output_that_cannot_be_written_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full(errno.ENOSPC))
    assert _run_command(monkeypatch, lambda: print("done")) == 1
    said = capsys.readouterr().err
    assert said.startswith("The output could not be written: No space left on device.")
    assert len(said.splitlines()) == 1


def test_another_file_that_cannot_be_written_is_not_taken_for_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, OSError(errno.ENOSPC, "No space left on device")) == 1
    assert "The output" not in capsys.readouterr().err


def test_a_reader_that_has_left_is_no_news(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdout", _Full(errno.EPIPE))
    assert _run_command(monkeypatch, lambda: print("done")) == 1
    assert capsys.readouterr().err == ""


def test_without_a_standard_output_a_command_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert _run_command(monkeypatch, lambda: print("done")) == 0
