"""The verb completion."""

import click

from runner.edges import printer
from runner.errors import Exit


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the script that completes words in a shell.

    These are verbs, recipes, profiles, stages and paths.

    For bash put eval "$(run-recipe completion bash)" into ~/.bashrc, for zsh the same with zsh into
    ~/.zshrc; for fish: run-recipe completion fish > ~/.config/fish/completions/run-recipe.fish
    """
    from click.shell_completion import get_completion_class

    from runner.verbs import completing

    completing.register()
    kind = get_completion_class(shell)
    if kind is not None:
        script = kind(ctx.find_root().command, {}, "run-recipe", completing.VARIABLE).source()
        printer.payload(f"{script}\n")
    return Exit.OK
