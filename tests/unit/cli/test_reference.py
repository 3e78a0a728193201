"""docs/cli.md says what the commands say of themselves."""

from tests.unit.cli.reference import MARK, PAGE, SHARED, commands, is_connected, reference


def test_the_page_holds_the_reference_of_today_s_commands() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert MARK + rest == reference(), "write it anew: python -m tests.unit.cli.reference"


def test_every_command_and_every_option_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, command in commands():
        section = page.partition(f"### `{name}`\n")[2].partition("\n### ")[0]
        assert section, name
        for parameter in command.params:
            place = page if is_connected(command) and parameter.name in SHARED else section
            shown = [f"`{option}" for option in parameter.opts if parameter.param_type_name == "option"]
            assert all(each in place for each in shown), f"{name}: {parameter.opts}"


def test_every_command_and_every_option_has_a_help_text() -> None:
    for name, command in commands():
        assert command.help, name
        assert all(parameter.help for parameter in command.params), name
