"""`datakit bundle`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.cli.build_path import BuildPath
from datakit.core.counted import counted

EPILOG = """\b
Examples:
  datakit bundle build/ecom_v3                 # ecom_v3.tar in the folder here
  datakit bundle build/ecom_v3 -o ecom_v3.tar.gz --json

\b
There:
  tar xf ecom_v3.tar && cat ecom_v3-bundle/START_HERE.md
"""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The archive: .tar or .tar.gz; the build's name with .tar, in the folder here, when not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
def command(build: Path, out: Path | None, as_json: bool) -> int:
    """Pack BUILD for a machine that has LLaMA-Factory and vLLM, but not datakit.

    The archive holds the data, pictures at the size of the training, the configuration, checksums, datakit's
    own code for all stages, run.sh, which checks, trains, exports, serves, predicts and evaluates (`run.sh
    doctor` looks at the machine before), and START_HERE.md, which says what the machine needs. The same build
    gives the same bytes.
    """
    from datakit.artifacts.ablation import AblationFolder
    from datakit.bundling.pack import bundle
    from datakit.cli.tables import print_json
    from datakit.core.errors import UserError
    from datakit.core.scripts import shell_words

    out = out or Path(f"{build.absolute().name}.tar")
    if not out.name.endswith((".tar", ".tar.gz", ".tgz")):
        raise UserError(f"{out} is no name of an archive", remedy="End it with .tar or .tar.gz.")
    if AblationFolder(build).record_file.is_file():
        line = shell_words(["datakit", "ablate", "RECIPE", "--bundle", str(out)])
        raise UserError(f"{build} is an ablation, of several builds", remedy=f"Pack all as one: {line}")
    archive = bundle(build, out)
    if as_json:
        print_json(archive.model_dump())
    else:
        click.echo(
            f"Packed: {archive.path} ({archive.bytes / 1e6:,.1f} MB, {counted(archive.files, 'file')}, "
            f"{counted(archive.pictures, 'picture')}, {archive.resized:,} made smaller)"
        )
        click.echo(f"sha256 {archive.sha256}")
        click.echo(f"There: tar xf {out.name}, then read {archive.starts_with}/START_HERE.md")
    return 0
