"""Runs on the Hugging Face hub; ``huggingface_hub`` finds token, cache and endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinelex.errors import InputError, one_line, without_secrets


def download_run(name: str, wanted: tuple[str, ...]) -> Path:
    """The folder of a run on the hub, as the cache keeps it.

    Args:
        name: ``user/name`` or ``user/name@revision``.
        wanted: patterns of the files to load; others are left.

    Raises:
        InputError: no such repository, or the hub cannot be reached.
    """
    repository, _, revision = name.partition("@")
    with _hub(f"hf://{name}"):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted)))


def upload_run(folder: Path, name: str, private: bool) -> str:
    """Put a folder's files into a repository of the hub, which is made where it is not there.

    Args:
        folder: the files.
        name: ``user/name``.
        private: whether a new repository is to be private.

    Returns:
        The address of the commit.

    Raises:
        InputError: no token, no right to write there, or the hub cannot be reached.
    """
    with _hub(f"hf://{name}"):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(name, exist_ok=True, private=private or None)
        return str(
            api.upload_folder(repo_id=name, folder_path=folder, commit_message="kinelex push").commit_url
        )


@contextmanager
def _hub(what: str) -> Iterator[None]:
    """What goes wrong between here and the hub is one message."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what} needs huggingface_hub: pip install 'kinelex[hub]'") from error
    except Exception as error:  # whatever the network does
        kind = type(error).__name__
        hint = {
            "RepositoryNotFoundError": "expects user/name of a repository that you may read",
            "RevisionNotFoundError": "there is no such revision",
            "GatedRepoError": "accept its conditions at the hub",
            "HFValidationError": "expects user/name",
            "LocalTokenNotFoundError": "log in with `hf auth login`",
        }.get(kind, "is the hub reachable, and are you logged in (`hf auth login`)?")
        said = without_secrets(one_line(error))[:200]
        raise InputError(f"{what}: {hint} ({kind}: {said})") from error
