"""A model folder never runs code of its own: folders that ask for it are refused, and nobody is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CheckpointError
from .records import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def refuse_code(folder: Path) -> None:
    """Raises CheckpointError where a configuration in ``folder`` names code to run (transformers' "auto_map")."""
    for file in sorted(folder.glob("*config*.json")):
        content = read_json(file, CheckpointError)
        for name in ("auto_map", "custom_pipelines", "custom_generate"):
            if isinstance(content, dict) and content.get(name):
                raise CheckpointError(
                    f"{file} asks to run code of the model's own ({name}: {str(content[name])[:80]}), and outofsight "
                    "runs none. Use a model of one of transformers' own classes; if this is one, delete the entry "
                    f'"{name}" in that file'
                )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A tokenizer of one of transformers' own classes, from local files only.

    Raises:
        CheckpointError: it cannot be read, or asks to run code.
    """
    from transformers import AutoTokenizer

    refuse_code(folder)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        told = str(error) or type(error).__name__
        raise CheckpointError(f"the tokenizer in {folder} cannot be loaded: {told[:300]}") from error
