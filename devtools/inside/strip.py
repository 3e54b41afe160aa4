"""Draw a before/after strip as PNG: source frames on the target's frame above, the outpainted frames below.

Run by the host's Python, with the pack on its path: ``python strip.py SOURCE.mp4 RESULT.mp4 STRIP.png``. Prints both
videos' facts as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageOps

from m3ddm_core.video.reader import read_facts, read_pictures

COLUMNS = 5
COLUMN_WIDTH = 320
GAP = 6
BACKGROUND = (24, 24, 27)
BLANK = (58, 58, 64)


def read(file: Path) -> tuple[list[Image.Image], dict[str, object]]:
    """All frames, and ``width height frames fps seconds sound``."""
    said = read_facts(file)
    frames = [Image.fromarray((picture * 255).round().to(torch.uint8).numpy()) for picture in read_pictures(file)]
    width, height = frames[0].size
    facts = {"width": width, "height": height, "frames": len(frames), "fps": float(said.rate)}
    return frames, facts | {"seconds": len(frames) / float(said.rate), "sound": said.sound}


def strip(source: list[Image.Image], result: list[Image.Image]) -> Image.Image:
    """``COLUMNS`` evenly spaced moments, the first and the last among them; the source lies centred in its target.

    It is scaled to it: of a ratio's frame it fills the width or the height.
    """
    count = min(len(source), len(result))
    numbers = sorted({round(i * (count - 1) / (COLUMNS - 1)) for i in range(COLUMNS)})
    scale = COLUMN_WIDTH / result[0].width
    height = round(result[0].height * scale)
    sheet = Image.new("RGB", (len(numbers) * (COLUMN_WIDTH + GAP) + GAP, 2 * (height + GAP) + GAP + 16), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, number in enumerate(numbers):
        x = GAP + column * (COLUMN_WIDTH + GAP)
        before = Image.new("RGB", result[0].size, BLANK)
        frame = ImageOps.contain(source[number], before.size, Image.Resampling.LANCZOS)
        before.paste(frame, ((before.width - frame.width) // 2, (before.height - frame.height) // 2))
        for row, picture in enumerate((before, result[number])):
            sheet.paste(
                picture.resize((COLUMN_WIDTH, height), Image.Resampling.LANCZOS), (x, GAP + row * (height + GAP))
            )
        label = f"frame {number}" + (": source above, outpainted below" if column == 0 else "")
        draw.text((x, 2 * (height + GAP) + GAP), label, fill=(200, 200, 205))
    return sheet


def main(source: Path, result: Path, target: Path) -> None:
    before, source_facts = read(source)
    after, result_facts = read(result)
    strip(before, after).save(target)
    print(json.dumps({"source": source_facts, "result": result_facts}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
