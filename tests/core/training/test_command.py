"""The command line of training."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from m3ddm_core.__main__ import main
from m3ddm_core.checkpoint import expected_shapes
from m3ddm_core.training import command
from m3ddm_core.training.config import Config, Run, Vae, parse_config
from m3ddm_core.training.initialise import network_config
from m3ddm_core.training.schema import read_toml
from m3ddm_core.training.tiny_vae_config import SECTION, parse_tiny_vae_config

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def write_toml(settings: dict[str, dict[str, Any]], file: Path) -> Path:
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [
            f"{key} = {value!r}".replace("True", "true").replace("False", "false") for key, value in values.items()
        ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_help_needs_no_torch() -> None:
    code = "import sys; from m3ddm_core.__main__ import main; sys.modules['torch'] = None; main(['train', '--help'])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0 and "CONFIG.toml" in answer.stdout and "--resume" in answer.stdout


def test_a_run_from_the_command_line(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["run"] |= {"steps": 2}
    file = write_toml(settings, tmp_path / "run.toml")
    assert main(["train", str(file)]) == 0
    output = capsys.readouterr()
    assert output.out.strip().endswith("m3ddm.safetensors") and Path(output.out.strip()).is_file()
    assert "step 2 of 2: loss" in output.err
    assert main(["train", str(file)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["train", str(file), "--resume"]) == 0
    assert "going on from step 2" in capsys.readouterr().err


def test_everything_wrong_is_said_at_once(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["run"] |= {"steps": -1, "stepps": 3}
    assert main(["train", str(write_toml(settings, tmp_path / "run.toml"))]) == 2
    error = capsys.readouterr().err
    assert "run.steps: got -1" in error and "run.stepps: no such key" in error
    assert main(["train", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(command.NEEDED, "no_such_module", "no-such-package")
    assert main(["train", "run.toml"]) == 2
    assert "pip install no-such-package" in capsys.readouterr().err


def test_the_example_holds_every_key_with_its_default(vae_file: Path, tmp_path: Path) -> None:
    (tmp_path / "vae.safetensors").write_bytes(vae_file.read_bytes())
    file = tmp_path / "example.toml"
    file.write_text((ROOT / "recipes" / "example.toml").read_text(encoding="utf-8"), encoding="utf-8")
    config = parse_config(read_toml(file), folder=str(file.parent), name=str(file))
    least = {"run": {"output": config.run.output}, "vae": {"path": config.vae.path}}
    assert parse_config(least, folder=config.folder) == config
    text = file.read_text(encoding="utf-8")
    sections = {f.name: getattr(config, f.name) for f in fields(Config) if f.name != "folder"}
    assert isinstance(sections["run"], Run) and isinstance(sections["vae"], Vae)
    for name, section in sections.items():
        part = re.split(rf"^\[{name}\].*\n", text, flags=re.MULTILINE)[1].split("\n[")[0]
        assert [line.split(" =")[0] for line in part.splitlines() if " = " in line] == [f.name for f in fields(section)]


@pytest.mark.parametrize("recipe", [path for path in RECIPES if path.stem != "example"], ids=lambda path: path.stem)
def test_recipes_are_in_order(recipe: Path, tmp_path: Path) -> None:
    """Each is checked where the files and folders that it starts from are there."""
    content = read_toml(recipe)
    for section, key in (("vae", "path"), ("network", "weights"), ("start", "weights"), ("worth", "lpips_backbone")):
        if key in content.get(section, {}):
            file = tmp_path / "recipes" / content[section][key]
            file.parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "recipes").mkdir(exist_ok=True)
            file.touch()
    for folder in content.get("material", {}).values():
        (tmp_path / "recipes" / folder).mkdir(parents=True, exist_ok=True)
    if SECTION in content:
        parse_tiny_vae_config(content, folder=str(tmp_path / "recipes"), name=recipe.name)
        return
    config = parse_config(content, folder=str(tmp_path / "recipes"), name=recipe.name)
    if config.network.start == "nothing":
        shapes = expected_shapes(network_config(config.network))
        assert 2 * sum(math.prod(shape) for shape in shapes.values()) < 16e6, "at most 16 MB in fp16"
