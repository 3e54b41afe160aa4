"""The templates of every release, kept for a test: ``python -m devtools.shipped`` adds those of the present version.

Beside the workflows stands what they meant on that day, as prompts: a later node that reads their values otherwise, or
does not take them any more, breaks its users' files.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

from . import host as hosts
from . import templates, workflow
from .client import Prompt
from .host import PACK
from .server import Server

FOLDER = PACK / "tests" / "data" / "shipped_workflows"
PROMPTS = "prompts.json"


def prompts(object_info: dict[str, Any]) -> dict[str, Prompt]:
    """The present templates as prompts, by name."""
    return {file.stem: workflow.load(file, object_info) for file in templates.TEMPLATES}


def main() -> None:
    """Copy the present templates into a folder named after the version of pyproject.toml."""
    project = (PACK / "pyproject.toml").read_text(encoding="utf-8")
    folder = FOLDER / re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    host = hosts.find(hosts.TEST_MODULES, install=False)
    with Server(host, models={}, inputs=[], arguments=()) as server:
        meant = prompts(server.client.object_info())
    folder.mkdir(parents=True)  # what has been shipped is not overwritten
    for file in templates.TEMPLATES:
        shutil.copyfile(file, folder / file.name)
    (folder / PROMPTS).write_text(json.dumps(meant, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
