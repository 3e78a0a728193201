"""Settings: typed, from the environment, with errors that name the variable."""

from __future__ import annotations

import pytest

from recsys.bootstrap.settings import Settings, SettingsError


def test_defaults_without_an_environment() -> None:
    assert (
        Settings.from_environment({"PATH": "/bin", "RECSYS_API_KEY": "rsk_x", "RECSYS_URL": "http://x"}) == Settings()
    )


def test_values_are_read_by_type_and_overrides_win() -> None:
    environ = {"RECSYS_PORT": "9000", "RECSYS_DEV_AUTH": "1", "RECSYS_WORKERS": "4", "RECSYS_RUN_DIR": ""}
    settings = Settings.from_environment(environ, workers=2, db=None)
    assert (settings.port, settings.dev_auth, settings.workers, settings.run_dir) == (9000, True, 2, None)
    assert settings.db == Settings().db


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RECSYS_PORT", "eighty"),
        ("RECSYS_PORT", "70000"),
        ("RECSYS_WORKERS", "0"),
        ("RECSYS_DEV_AUTH", "perhaps"),
        ("RECSYS_LOG_LEVEL", "loud"),
        ("RECSYS_POLL_MS", "0.5"),
        ("RECSYS_WORKER", "4"),
    ],
)
def test_an_error_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        Settings.from_environment({variable: value})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_developer_headers_are_for_loopback_only(host: str) -> None:
    with pytest.raises(SettingsError, match="RECSYS_DEV_AUTH"):
        Settings.from_environment({"RECSYS_DEV_AUTH": "true"}, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_developer_headers_on_loopback(host: str) -> None:
    assert Settings.from_environment({"RECSYS_DEV_AUTH": "true"}, host=host).dev_auth


def test_workers_get_the_same_settings() -> None:
    settings = Settings(dev_auth=True, port=1, run_dir="/run/recsys", log_level="debug")
    assert Settings.from_environment(settings.to_environment()) == settings


def test_a_number_out_of_range_is_answered_with_the_limit() -> None:
    with pytest.raises(SettingsError, match=r"^RECSYS_PORT: 99999 must be at most 65535\.$"):
        Settings.from_environment({"RECSYS_PORT": "99999"})
    with pytest.raises(SettingsError, match=r"takes: whole number, 0 to 65535\.$"):
        Settings.from_environment({"RECSYS_PORT": "eighty"})


def test_a_salt_is_long_enough_and_never_shown() -> None:
    with pytest.raises(SettingsError, match=r"^RECSYS_SUBJECT_SALT: the value given must have at least 16 characters"):
        Settings.from_environment({"RECSYS_SUBJECT_SALT": "hunter2"})
    assert Settings.from_environment({"RECSYS_SUBJECT_SALT": "x" * 16}).subject_salt == "x" * 16
