"""Media in and out: files, folders of pictures and pipes, by PyAV.

with open_source("in.mp4") as source, open_sink("out.mp4", source.info, source=source) as sink:
    for frame in source:
        sink.write(frame)
"""

from .prefetch import Prefetch
from .sinks import Sink, open_sink
from .sources import Source, open_source, read_mask

__all__ = ["Prefetch", "Sink", "Source", "open_sink", "open_source", "read_mask"]
