"""The last word: whatever happens, an exit code and a sentence, and a traceback only for who asks."""

import sys

import pytest

from recsys.cli import commands
from recsys.cli.app import main


def _run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> object:
    def build_app() -> None:
        raise error

    monkeypatch.setattr(commands, "build_app", build_app)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


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
