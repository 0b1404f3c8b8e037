"""`chimney COMMAND`: the table of commands (tb/commands.py) as a Click program: typed options, help, completion.

Options are the variables of tb/variables.py and go through the same reader as those of `make`: one text, one check,
one message. Nothing is read from the environment. Exit statuses: docs/command-line.md.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from tb.cli import BARE, FAILED, GOOD, INTERRUPTED, WRONG, call, heed_interrupts
from tb.commands import COMMANDS, Command
from tb.config import ROOT, ConfigError, RunConfig
from tb.folders import standing, typed
from tb.json_output import Document
from tb.variables import VARIABLES, BuildError, Variable

PROGRAM = "chimney"
COMPLETION_VARIABLE = "_CHIMNEY_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
#: Where a shell looks for completions: what `chimney completion --help` says.
COMPLETION_EXAMPLES = (
    'eval "$(chimney completion bash)"',
    'eval "$(chimney completion zsh)"',
    "chimney completion fish > ~/.config/fish/completions/chimney.fish",
)
HELP = (
    "Chimney: a TCP chimney offload NIC in Verilog, held to a golden model event by event. "
    "Exit status: 0 good, 1 a check failed, 2 something given is wrong or something needed is missing, "
    "3 a sabotage survived, 4 a bound in time left a sabotage unjudged, 130 interrupted."
)


class VariableType(click.ParamType[str]):
    """The text of a variable, unchecked here; what it may be is offered to the shell."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable
        self.name = variable.kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Values that begin with what was typed; files are left to the shell."""
        if self.variable.kind in ("file", "path", "existing", "paths"):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(word) for word in suggestions(self.variable) if word.startswith(incomplete)]


def suggestions(variable: Variable) -> tuple[str, ...]:
    """Values of a variable that can be listed."""
    if variable.name == "TEST":
        from tb.testing.tiers import load

        return tuple(dict.fromkeys(job.name for job in load().jobs))
    if variable.name == "ID":
        from tb.sabotage.manifest import load as load_sabotages

        return tuple(entry.id for entry in load_sabotages())
    return variable.choices


class StyledFormatter(click.HelpFormatter):
    """Bold headings, unless NO_COLOR is set; Click leaves them plain where there is no terminal."""

    def write_heading(self, heading: str) -> None:
        """A heading of a help text."""
        text = f"{heading}:" if os.environ.get("NO_COLOR") else click.style(f"{heading}:", bold=True)
        self.write(f"{'':>{self.current_indent}}{text}\n")


class StyledContext(click.Context):
    """Contexts whose help is styled."""

    formatter_class = StyledFormatter


class ChimneyCommand(click.Command):
    """A command whose help ends with examples."""

    context_class = StyledContext
    examples: tuple[str, ...] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, one a line."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"{'':>{formatter.current_indent}}{line}\n" for line in self.examples))


class ChimneyGroup(click.Group):
    """The program; commands in the order of the table."""

    context_class = StyledContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As the table has them, not by the alphabet."""
        return list(self.commands)


def option_of(variable: Variable) -> click.Option:
    """A variable as an option; 0 and 1 become two options."""
    if variable.kind == "flag":
        declared = [f"{variable.option}/--no-{variable.option.removeprefix('--')}", variable.name]
        text = f"{variable.help} (default {'yes' if variable.default == '1' else 'no'})"
        return click.Option(declared, default=None, help=text, type=bool)
    return click.Option(
        [variable.option, variable.name], help=variable.described(), metavar=variable.metavar,
        type=VariableType(variable),
    )  # fmt: skip


def argument_of(command: Command) -> list[click.Parameter]:
    """The variable that stands without an option, under the name `argument`."""
    if not command.argument:
        return []
    variable = VARIABLES[command.argument.removesuffix("*")]
    many = command.argument.endswith("*")
    shown = f"[{variable.name}]..." if many else f"[{variable.name}]"
    return [
        click.Argument(
            ["argument"], required=False, nargs=-1 if many else 1, metavar=shown, type=VariableType(variable)
        )
    ]


def texts(command: Command, given: dict[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """What Click parsed, as the reader of variables takes it."""
    found: dict[str, str | tuple[str, ...]] = {}
    for name in command.names:
        value = given.get(name)
        if value is not None:
            found[name] = str(int(value)) if isinstance(value, bool) else str(value)
    argument = given.get("argument")
    if argument:
        name = command.argument.removesuffix("*")
        if name in found:
            raise click.UsageError(f"{name} is given twice, as {VARIABLES[name].option} and without it")
        found[name] = argument
    return found


def with_option(error: ConfigError) -> ConfigError:
    """The same error; where it names a variable, its option stands behind."""
    name = error.where.partition("=")[0]
    where = f"{error.where} ({VARIABLES[name].option})" if name in VARIABLES else error.where
    return ConfigError(error.what, where, error.todo)


def run_command(name: str, *, as_json: bool = False, **given: Any) -> int:
    """Run a command with what Click parsed; its exit status."""
    command = COMMANDS[name]
    with standing(Path.cwd()), Document(name, wanted=as_json) as document:
        try:
            config = (
                RunConfig(command=name) if name in BARE else RunConfig.from_environment(name, texts(command, given))
            )
            os.chdir(ROOT)  # paths were made absolute where the user stands
            document.of(config)
            document.status = document.computed() if as_json and command.computed else call(config)
        except ConfigError as error:
            shown = with_option(error)
            document.error(shown)
            print(shown.report(), file=sys.stderr)
            document.status = WRONG
        except BuildError as error:
            document.error(error.told())
            print(error.told().report(), file=sys.stderr)
            document.status = FAILED
        except KeyboardInterrupt:
            document.status = INTERRUPTED
            so_far = f"; results so far: {typed(ROOT / document.shown)}" if document.fresh() else ""
            print(f"\ninterrupted: {PROGRAM} {name}{so_far}", file=sys.stderr)
        return document.status


def click_command(name: str, command: Command) -> click.Command:
    """One row of the table."""
    parameters = argument_of(command) + [option_of(VARIABLES[variable]) for variable in command.names]
    if command.results or command.computed:
        parameters.append(
            click.Option(["--json", "as_json"], is_flag=True, help="one JSON document on stdout, prose on stderr")
        )
    made = ChimneyCommand(
        name, params=parameters, callback=partial(run_command, name), help=f"{command.summary[0].upper()}"
        f"{command.summary[1:]}.", short_help=command.summary,
    )  # fmt: skip
    made.examples = command.examples
    return made


def completion(shell: str) -> int:
    """Print the program that makes a shell complete `chimney`."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - Click has all three
    print(found(program(), {}, PROGRAM, COMPLETION_VARIABLE).source())
    return GOOD


def help_of(name: str | None) -> int:
    """Print the help of the program or of a command."""
    group = program()
    if name is not None and name not in group.commands:
        raise click.exceptions.NoSuchCommand(name, possibilities=group.commands)
    with StyledContext(group, info_name=PROGRAM, max_content_width=120) as outer:
        if name is None:
            click.echo(group.get_help(outer))
            return GOOD
        with StyledContext(group.commands[name], info_name=name, parent=outer, max_content_width=120) as inner:
            click.echo(group.commands[name].get_help(inner))
    return GOOD


def extra(name: str, text: str, parameter: click.Argument, callback: Callable[..., int],
          examples: tuple[str, ...]) -> ChimneyCommand:  # fmt: skip
    """A command of the command line alone."""
    made = ChimneyCommand(name, params=[parameter], callback=callback, help=text)
    made.examples = examples
    return made


def version() -> str:
    """The version of this tree, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def program() -> ChimneyGroup:
    """All commands."""
    commands: list[click.Command] = [click_command(name, command) for name, command in COMMANDS.items()]
    commands.append(
        extra("completion", "Print what makes a shell complete chimney.",
              click.Argument(["shell"], type=click.Choice(SHELLS)), completion, COMPLETION_EXAMPLES)
    )  # fmt: skip
    commands.append(
        extra("help", "Help of the program, or of one command.", click.Argument(["name"], required=False), help_of,
              ("chimney help run",))
    )  # fmt: skip
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
    made = ChimneyGroup(PROGRAM, {one.name or "": one for one in commands}, help=HELP, context_settings=settings)
    return click.version_option(version(), prog_name=PROGRAM, message="%(prog)s %(version)s")(made)


def usage(error: click.UsageError, arguments: list[str]) -> ConfigError:
    """A wrong call in the words of all other errors."""
    where = " ".join([PROGRAM, *(word for word in arguments[:1] if word in program().commands)])
    message = error.format_message().rstrip(".").replace(". ", " ")
    return ConfigError(message[:1].lower() + message[1:], where, f"`{where} --help` says what it takes")


def main(arguments: list[str]) -> int:
    """Run one command; the return value is the process's exit status."""
    heed_interrupts()
    try:
        status = program().main(
            arguments, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, standalone_mode=False
        )  # fmt: skip
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return WRONG
    except click.UsageError as error:
        print(usage(error, arguments).report(), file=sys.stderr)
        return WRONG
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        print(f"\ninterrupted: {PROGRAM}", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else GOOD
