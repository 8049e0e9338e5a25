"""ask.py and ask.sh: how anybody's own program asks the served model, as the training asked.

They stand alone: ask.py needs Pillow, and OpenAI's client to send what it makes; ask.sh sends it with curl.
What they send is what `datakit predict` sends; a test compares the two.
"""

from __future__ import annotations

from importlib.resources import files

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.scripts import comment, python_value, shell_words
from datakit.serving.asking import TOP_LOGPROBS, contents
from datakit.serving.plan import ServingPlan
from datakit.serving.requirements import trainer_limits

_SETTINGS = "# SETTINGS\n"
_HEADS = {
    "asker.py.txt": "run: python3 ask.py [PICTURE ...]      (pip install openai pillow)",
    "asker.sh": "run: bash ask.sh [PICTURE ...]         (python3 with Pillow, and curl)",
}


def ask_files(build: BuildFolder, plan: ServingPlan) -> tuple[str, str]:
    """ask.py and ask.sh of a build: they ask about its first record of validation, else of training.

    Raises UserError for a build without a record.
    """
    row = next(build.rows("val"), None) or next(build.rows("train"), None)
    if row is None:
        raise UserError(f"{build.path} holds no record to ask about", remedy="Build again.")
    system, users = contents(row["messages"])
    limits = trainer_limits(build)
    about = f"Asks {plan.name} as its training asked, with the prompt of record {row['id']}; by datakit."
    settings = {
        "MODEL": plan.name,
        "URL": plan.url,
        "SYSTEM": system,
        "TURNS": list(users),
        "PICTURES": list(row.get("images") or ()),
        "ROOMS": [plan.turn_rooms[min(turn, len(plan.turn_rooms) - 1)] for turn in range(len(users))],
        "MAX_PIXELS": limits.max_pixels,
        "MIN_PIXELS": limits.min_pixels,
        "TOP_LOGPROBS": TOP_LOGPROBS,
    }
    lines = "".join(f"{name} = {python_value(value)}\n" for name, value in settings.items())
    return (
        _headed("asker.py.txt", about).replace(_SETTINGS, lines, 1),
        _headed("asker.sh", about).replace(_SETTINGS, f"url=${{BASE_URL:-{shell_words([plan.url])}}}\n", 1),
    )


def _headed(name: str, about: str) -> str:
    """A program of the package with its comments at the top."""
    text = (files("datakit.serving") / "programs" / name).read_text("utf-8")
    first, rest = text.split("\n", 1)
    return f"{first}\n{comment(about)}\n{comment(_HEADS[name])}\n{rest}"


def ask_commands(build: BuildFolder, plan: ServingPlan) -> list[str]:
    """How the programs that the build keeps are called for a plan; none for a build of an older version."""
    programs = build.ask_programs
    if programs is None:
        return []
    asker, by_curl = programs
    kept = build.serving
    there = f"BASE_URL={shell_words([plan.url])} " if kept is not None and kept.url != plan.url else ""
    return [
        f"{there}{shell_words(['bash', str(by_curl)])}  {comment('asks it with curl')}",
        f"{there}{shell_words(['python3', str(asker)])}  "
        + comment("with OpenAI's client; --many FOLDER asks about many pictures"),
    ]
