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
_FISH = r"""function %(complete_func)s
    set -lx %(complete_var)s fish_complete
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -t)
    set -l response (%(prog_name)s)
    for completion in $response
        set -l metadata (string split -m 1 "," -- $completion)
        switch $metadata[1]
            case dir
                __fish_complete_directories $metadata[2]
            case file
                __fish_complete_path $metadata[2]
            case plain
                printf '%%s\n' $metadata[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
"""click's cuts a value at its first comma, as those of --fail-on and of some ids have one."""
_ZSH_KEYS = (
    "        compadd -U -V unsorted -a completions\n",
    "        compadd -U -V unsorted -S '' -- ${(M)completions:#*[=>]}\n"
    "        compadd -U -V unsorted -- ${completions:#*[=>]}\n",
)
"""What click's script for zsh says, and what it has to say: a key waits for its value here too."""
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
    own = {"bash": _BASH, "fish": _FISH, "zsh": script.source_template.replace(*_ZSH_KEYS)}
    click.echo(own[shell] % script.source_vars())
    return 0
