"""What an HDR10 file says of its display goes through reading and writing."""

from __future__ import annotations

import av
import numpy as np

from m3ddm_core.video.file import FileSource
from m3ddm_core.video.formats import Encoding
from m3ddm_core.video.writer import write_video

SAID = {
    "master-display": "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)",
    "max-cll": "1000,400",
}


def test_the_display_and_the_brightest_light_are_kept_in_hevc(tmp_path):
    path, again = str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")
    with av.open(path, "w") as container:
        said = ":".join(f"{name}={text}" for name, text in SAID.items())
        options = {"x265-params": f"log-level=none:{said}"}
        stream = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        for _ in range(3):
            grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 30000, np.uint16), format="rgb48le")
            container.mux(stream.encode(grey))
        container.mux(stream.encode(None))
    source = FileSource(path)
    assert source.info.light == SAID
    write_video(again, source.frames(), source.info, encoding=Encoding("hevc"))
    assert FileSource(again).info.light == SAID
    write_video(again, source.frames(), source.info, encoding=Encoding("h264"))
    assert FileSource(again).info.light == {}, "x264 is not told"
