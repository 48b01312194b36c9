"""Commands about models: which there are, and what is known about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot import models as store
from bot.cli.console import Json, print_json, print_line, settings
from bot.errors import ModelRejected

models = typer.Typer(help="Models of our own, their lineage and figures.", no_args_is_help=True)

Folders = Annotated[
    list[Path] | None,
    typer.Option("--folder", help="Look here too; may be repeated.", metavar="DIR"),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(models, name="models")


def _found(folders: list[Path] | None) -> list[store.Model]:
    return store.find([*(folders or ()), settings().home / "models", store.SHIPPED])


@models.command("list")
def list_models(folder: Folders = None, as_json: Json = False) -> None:  # noqa: FBT002 - a flag
    """List the models in the data folder, and the one that ships.

    Example: `deskhand models list --folder /srv/models`
    """
    found = _found(folder)
    if as_json:
        print_json([_facts(one) for one in found])
        return
    for one in found:
        about = one.manifest
        label = store.label(about) if about else one.name
        weights = f"{about.parameters / 1e6:.1f}M weights" if about else "no manifest"
        print_line(f"{label}  {weights}  {' '.join(one.capabilities) or 'base'}  {one.folder}")
    if not found:
        print_line("There are no models yet: `deskhand train pretrain` makes one.")


@models.command()
def show(
    which: Annotated[str, typer.Argument(help="A model's name, or its folder.")],
    folder: Folders = None,
    as_json: Json = False,  # noqa: FBT002 - typer makes a flag of it
) -> None:
    """Check a model's files, and show its lineage, how it was made and what it measured.

    Example: `deskhand models show deskhand-small`
    """
    found = _found([*(folder or ()), Path(which)])
    wanted = [one for one in found if which in (one.name, str(one.folder))]
    if not wanted:
        raise ModelRejected(
            f"There is no model {which}.", "`deskhand models list` shows those there are."
        )
    model = wanted[-1]
    store.verify(model.folder)
    line = store.lineage(model, found)
    if as_json:
        print_json({**_facts(model), "lineage": [one.name for one in line]})
        return
    about = model.manifest
    if about is None:
        print_line(f"{model.name}: a plain Hugging Face folder, nothing more is known.")
        return
    rows = {
        "model": store.label(about),
        "folder": str(model.folder),
        "made": f"{about.created} with commit {about.commit or 'unknown'}",
        "weights": f"{about.parameters:,}",
        "can": ", ".join(about.capabilities) or "be tuned; it is a base",
        "prompt": about.prompt,
        "trained on": about.dataset,
        "seed": str(about.seed),
        "files": f"{len(about.files)}, all as they were written",
        "lineage": " ← ".join(store.label(one.manifest) for one in line if one.manifest)
        + (
            f" ← {line[-1].manifest.parent}"
            if line[-1].manifest and line[-1].manifest.parent
            else ""
        ),
    }
    for name, value in rows.items():
        print_line(f"{name:<12}{value}")
    for name, figure in about.metrics.items():
        print_line(f"  {name:<28}{figure:.6g}")


def _facts(model: store.Model) -> dict[str, object]:
    about = model.manifest.model_dump(mode="json") if model.manifest else {}
    return {"folder": str(model.folder), **about, "name": model.name}
