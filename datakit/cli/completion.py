"""`datakit completion`."""

from __future__ import annotations

import click

EPILOG = """\b
Examples:
  eval "$(datakit completion bash)"            # for this shell; or in ~/.bashrc
  eval "$(datakit completion zsh)"             # or in ~/.zshrc, after compinit
  datakit completion fish > ~/.config/fish/completions/datakit.fish
"""
_BASH = r"""%(complete_func)s() {
    local response type value word=${COMP_WORDS[COMP_CWORD]}
    response=$(IFS=$'\n'; env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \
        %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while IFS=',' read -r type value; do
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            [[ $value == *[=\>] ]] && compopt -o nospace
            case $word in
                \'*) value=${value//\'/\'\\\'\'} ;;
                \"*) value=$(sed 's/[\\"$`]/\\&/g' <<< "$value") ;;
                *) [[ $value == *[^[:alnum:]_./=@%%+,:-]* ]] && printf -v value %%q "$value" ;;
            esac
            COMPREPLY+=("$value")
        fi
    done <<< "$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
"""What click asks and answers, in a script of our own: click's puts values on the line as they are, where a
blank in an id makes two words and `$(…)` would be run. Here they are quoted, in the quotes that are open if
any are. A key waits for its value: no blank comes behind its sign."""
_VARIABLE = "_DATAKIT_COMPLETE"
"""By which the script asks; click makes it of the command's name."""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that completes commands, builds, recipes, ids, steps and --set keys in SHELL."""
    from click.shell_completion import get_completion_class

    from datakit.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click has these three
    script = kind(cli, {}, "datakit", _VARIABLE)
    template = _BASH if shell == "bash" else script.source_template
    click.echo(template % script.source_vars())
    return 0
