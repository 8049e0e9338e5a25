"""`datakit handoff`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from datakit.cli.build_path import BuildPath
from datakit.core.errors import UserError

if TYPE_CHECKING:
    from datakit.handoff.from_build import ServeChanges
    from datakit.handoff.handoff import Account
    from datakit.handoff.run_road import Wishes
    from datakit.training.launch import Place

EPILOG = """\b
Examples:
  datakit handoff build/ecom_v3
  datakit handoff build/ecom_v3 --python /envs/trainer/bin/python --vllm /envs/vllm/bin/vllm
  datakit handoff build/ecom_v3 --only train --only export
  datakit handoff build/ecom_v3 --again predict
  datakit handoff build/ecom_v3 --from predict --split test_screens/
  datakit handoff build/ecom_v3 --base-url http://gpu-1:8000/v1
  datakit handoff build/ecom_v3 --status
  datakit handoff build/ecom_v3 --json | jq .scores

\b
Stages: check, train, export, serve, predict, evaluate. One whose inputs and outcome are unchanged by
content is passed over; which ones run and why is told. The same command goes on after any interruption,
without --again, which would begin anew.
Exit code: that of the stage that failed; 3 where records had no answer, run it again."""
ANY = "*"
"""Value of `--again` without a stage: the first one that is wanted."""

_OF_TRAIN = ("python", "gpus", "nodes", "node_rank", "master", "master_port", "cpu", "ignore_memory")
_OF_SERVE = ("model", "gpus", "gpu_memory_gb", "port", "cpu", "program", "timeout_s")
_OF_PREDICT = ("split", "closed", "model", "form", "max_answer_tokens", "limit", "concurrency", "timeout_s")
"""What the handoff takes over of the options of each; the others are refused."""


def _address(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """The address of a server elsewhere, "" without one. An empty one is refused: without it is trained."""
    if value is not None and not value.strip():
        raise click.BadParameter(
            "the address is empty (is a variable not set?). Give an address such as http://gpu-1:8000/v1, or"
            " leave the option out to train and serve here.",
            context,
            parameter,
        )
    return value or ""


def _stage_named(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """The stages that are named; "" or () without. An empty name is refused: it would mean all or none."""
    if "" in (value if isinstance(value, tuple) else (value,)):
        raise click.BadParameter(
            "the name is empty (is a variable not set?). Name a stage, or leave it out.", context, parameter
        )
    return "" if value is None else value


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath(outlives=True))
@click.argument("stages", nargs=-1, metavar="[STAGE]...", callback=_stage_named)
@click.option(
    "--only",
    multiple=True,
    metavar="STAGE",
    callback=_stage_named,
    help="This stage alone; may be repeated.",
)
@click.option(
    "--from",
    "start_from",
    metavar="STAGE",
    callback=_stage_named,
    help="This stage and those after it.",
)
@click.option(
    "--again",
    is_flag=False,
    flag_value=ANY,
    metavar="[STAGE]",
    callback=_stage_named,
    help="Do this stage anew, and those after it; what was trained before is set aside, never deleted.",
)
@click.option("--status", "only_status", is_flag=True, help="Say how the last handoff stands, start nothing.")
@click.option(
    "--base-url",
    callback=_address,
    metavar="URL",
    help="Ask a server elsewhere; nothing is trained then.",
)
@click.option("--split", default=None, metavar="WHAT", help="What is asked, as for `datakit predict`; val.")
@click.option("--closed", is_flag=True, help="Let the server decode nothing but labels of the set.")
@click.option("--model", metavar="NAME", help="Served name, where the server has several.")
@click.option("--cpu", is_flag=True, help="Train and serve on the processor: for trials with tiny models.")
@click.option(
    "--gpus", type=click.IntRange(min=1), help="GPUs of this machine; those of the recipe if not given."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the server; serve.port if not given.")
@click.option(
    "--python", metavar="PATH", help="Python of the trainer's environment; DATAKIT_TRAINER else PATH."
)
@click.option("--vllm", "program", metavar="COMMAND", help="The vLLM command; DATAKIT_VLLM else vllm.")
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--ignore-memory", is_flag=True, help="Train even where memory does not suffice by the plan.")
@click.option("--node-rank", type=click.IntRange(min=0), help="This node's number, from 0 (or NODE_RANK).")
@click.option("--master", metavar="ADDRESS", help="Address of node 0 (or MASTER_ADDR).")
@click.option(
    "--train-flags", default="", metavar="WORDS", help="Further options of `datakit train`, in one text."
)
@click.option("--serve-flags", default="", metavar="WORDS", help="Further options of `datakit serve`.")
@click.option("--predict-flags", default="", metavar="WORDS", help="Further options of `datakit predict`.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
@click.pass_context
def command(context: click.Context, /, build: Path, as_json: bool, only_status: bool, **given: Any) -> int:
    """Take BUILD to its scores: check, train, export, serve, predict, evaluate.

    Each stage runs when its inputs or its outcome have changed, and says why. STAGE, one or several of those
    six names, is the same as --only: nothing else runs; without one all do. Trainer and server may live in
    other environments (--python, --vllm); the server that was started ends with the command. For a machine
    without datakit, `datakit bundle` packs a build with a run.sh that does the same.
    """
    from datakit.cli.tables import print_json

    if only_status:
        return _status(build, as_json=as_json)
    account = _go(build, given, next_command(context), quiet=as_json)
    if as_json:
        print_json(account.document())
    elif not account.failure:
        click.echo(account.summary)
    if account.failure:
        click.echo(f"Error:\n{account.failure}", err=True)
    return account.exit


def _go(build: Path, given: dict[str, Any], line: str, *, quiet: bool) -> Account:
    from datakit.handoff.from_build import HomeRoad
    from datakit.handoff.handoff import Handoff, chosen

    only = (*given["only"], *given["stages"])
    again, start_from = given["again"], given["start_from"]
    if again == ANY:
        again = chosen(only, "", start_from)[0]
    if again and only and again not in only:
        only = (*only, again)
    chosen(only, again, start_from)  # a wrong word is told before anything is read
    road = HomeRoad(
        build,
        command=line,
        place=place_of(given),
        serve=serve_changes_of(given),
        wishes=wishes_of(given),
        base_url=given["base_url"],
        task=given["task"],
    )
    handoff = Handoff(road, lambda text: click.echo(text, err=quiet))
    return handoff.go(only=only, again=again, start_from=start_from)


def place_of(given: dict[str, Any]) -> Place:
    from datakit.cli import train
    from datakit.training.launch import Place

    flags = _sister(train.command, "--train-flags", given["train_flags"], _OF_TRAIN)
    own = ("python", "gpus", "node_rank", "master", "cpu", "ignore_memory")
    fields = {**{name: flags[name] for name in (*own, "nodes", "master_port")}}
    fields |= {name: given[name] for name in own if given[name]}
    if given["node_rank"] is not None:
        fields["node_rank"] = given["node_rank"]
    return Place(**fields)


def serve_changes_of(given: dict[str, Any]) -> ServeChanges:
    from datakit.cli import serve
    from datakit.handoff.from_build import ServeChanges

    flags = _sister(serve.command, "--serve-flags", given["serve_flags"], _OF_SERVE)
    settings = {name: given.get(name) or flags[name] for name in ("gpus", "gpu_memory_gb", "port")}
    settings = {name: value for name, value in settings.items() if value is not None}
    if flags["model"]:
        raise UserError(
            "a handoff serves the model that it trains, and --serve-flags name another with --model",
            remedy="Serve it by itself (datakit serve BUILD --model M) and give its address: --base-url",
        )
    return ServeChanges(settings, cpu=given["cpu"] or flags["cpu"])


def wishes_of(given: dict[str, Any]) -> Wishes:
    from datakit.cli import predict, serve
    from datakit.handoff.run_road import Wishes

    flags = _sister(predict.command, "--predict-flags", given["predict_flags"], _OF_PREDICT)
    server = _sister(serve.command, "--serve-flags", given["serve_flags"], _OF_SERVE)
    same = ("form", "max_answer_tokens", "limit", "concurrency", "timeout_s")
    return Wishes(
        split=given["split"] or flags["split"],
        closed=given["closed"] or flags["closed"],
        model=given["model"] or flags["model"],
        program=given["program"] or server["program"],
        start_timeout_s=server["timeout_s"],
        **{name: flags[name] for name in same},
    )


def _sister(sister: click.Command, option: str, text: str, taken: Sequence[str]) -> dict[str, Any]:
    """The options of another command as they stand in a text.

    Raises UsageError that names the option, also for one that is not `taken` over: it would have no effect.
    """
    import shlex

    try:
        context = sister.make_context(option, [".", *shlex.split(text)])
    except (click.UsageError, ValueError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        raise click.UsageError(f"{option} {text!r}: {message}") from None
    for parameter in sister.params:
        name = parameter.name or ""
        if isinstance(parameter, click.Argument) or name in taken:
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} {text!r}: {_not_taken(parameter.opts[0], option)}")
    return context.params


def _not_taken(word: str, option: str) -> str:
    own = {word for parameter in command.params for word in parameter.opts}
    sister = option.removeprefix("--").removesuffix("-flags")
    if word in own:
        return f"{word} has no effect there. Give it to the handoff itself: datakit handoff BUILD {word}"
    return (
        f"{word} has no effect in a handoff. Leave it out, or call the command by itself: "
        f"datakit {sister} BUILD {word}"
    )


def next_command(context: click.Context) -> str:
    """The line that goes on: this one without `--again`, which would begin anew."""
    from datakit.core.scripts import shell_words

    words = ["datakit", "handoff"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
            continue
        if parameter.name in ("again", "as_json", "only_status"):
            continue
        values: Sequence[Any] = value if isinstance(value, tuple) else [value]
        for entry in values:
            if isinstance(parameter, click.Argument):
                words.append(str(entry))
            else:
                words += [parameter.opts[0]] if entry is True else [parameter.opts[0], str(entry)]
    return shell_words(words)


def _status(build: Path, *, as_json: bool) -> int:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cli.tables import print_json
    from datakit.core.scripts import shell_words
    from datakit.handoff.status import status_document, status_lines

    begin = shell_words(["datakit", "handoff", str(build)])
    runs = BuildFolder(build).runs
    files = [path for path in runs.glob("*/status.json") if path.is_file()]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        if as_json:
            print_json({"run": None, "status": None, "stages": {}})
        else:
            click.echo(f"No handoff of {build} has run yet: there is no status in {runs}")
            click.echo(f"Next: {begin}")
        return 0
    run = newest.parent
    if as_json:
        print_json(status_document(run))
    else:
        click.echo(f"Run: {run}")
        for line in status_lines(run, begin=begin):
            click.echo(line)
    return 0
