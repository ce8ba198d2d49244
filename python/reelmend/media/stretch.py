"""Sound in slow motion: decoded, stretched at its pitch by libavfilter's atempo, and encoded anew."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from .carry import Carried, describe, stream_tags
from .clock import Pace

__all__ = ["Coding", "Stretched", "Tempo", "coding_for"]

# The encoder of a decoder's codec, where this FFmpeg has one; PCM encodes as it decodes.
_ENCODERS = {
    "aac": "aac",
    "mp3": "libmp3lame",
    "mp2": "mp2",
    "ac3": "ac3",
    "eac3": "eac3",
    "opus": "libopus",
    "flac": "flac",
    "alac": "alac",
}
_MODERN = ("libopus", "aac", "libmp3lame")
_COMMON = ("aac", "libmp3lame", "libopus", "ac3")
_BROADCAST = ("aac", "mp2", "libmp3lame", "ac3", "eac3", "libopus")  # others MPEG-TS would hold as unnamed data
_GAP = Fraction(1, 25)  # seconds by which time stamps may be off (coarse ticks) before sound is put in or left out
_TAIL = Fraction(1, 4)  # seconds of silence that push the last sound through the filters
_SLOWEST = 2  # times a single atempo slows


@dataclass(frozen=True, slots=True)
class Coding:
    """How stretched sound is encoded.

    codec    FFmpeg's encoder
    rate     samples a second
    layout   FFmpeg's name of the channels
    bits     a second, or None where the encoder has no use for it
    """

    codec: str
    rate: int
    layout: str
    bits: int | None

    def add_to(self, container: Any) -> Any:
        """A stream of this in an output."""
        stream = container.add_stream(self.codec, rate=self.rate, layout=self.layout)
        stream.codec_context.time_base = Fraction(1, self.rate)
        if self.bits:
            stream.codec_context.bit_rate = self.bits
        return stream


def _lossless(codec: Any) -> bool:
    return str(codec.canonical_name).startswith("pcm_") or bool(codec.lossless and not codec.lossy)


def _candidates(container: str, stream: Any) -> Iterator[str]:
    codec = stream.codec_context.codec
    name = str(codec.canonical_name)
    same = _ENCODERS.get(name) or (name if name.startswith("pcm_") and container != "mp4" else None)
    if same:
        yield same
    if _lossless(codec):
        yield from ("alac", "flac") if container in ("mp4", "mov") else ("flac",)
    yield from _MODERN if container in ("webm", "matroska", "nut") else _COMMON


def _works(container: str, coding: Coding) -> bool:
    """Encode a little silence into such a container."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as out:
            stream = coding.add_to(out)
            tempo = Tempo(Fraction(1), coding.rate, coding.layout, coding.rate)
            channels = tempo.channels
            for packet in stream.encode(_sound(np.zeros((channels, coding.rate // 4), np.float32), coding, 0)):
                out.mux(packet)
            out.mux(stream.encode(None))
        return True
    except (av.FFmpegError, ValueError, OSError):
        return False


def coding_for(container: str, stream: Any) -> Coding | None:
    """How to encode the sound of a stream anew for a container: its own codec where that can be, a lossless one for
    lossless sound, else what players of that container know. None where nothing works."""
    context = stream.codec_context
    if context is None or not context.sample_rate:
        return None
    layout, channels = str(context.layout.name), int(context.layout.nb_channels)
    if not layout or layout.endswith("channels"):  # the file does not tell which is which
        layout = {1: "mono", 2: "stereo"}.get(channels, layout)
    bits = int(context.bit_rate or 0)
    for codec in dict.fromkeys(_candidates(container, stream)):
        if codec not in av.codecs_available or (container == "mpegts" and codec not in _BROADCAST):
            continue
        encoder = av.Codec(codec, "w")
        rates = sorted(encoder.audio_rates or ())
        rate = context.sample_rate
        if rates and rate not in rates:
            rate = next((r for r in rates if r > rate), rates[-1])
        each = min(max(bits // channels, 64000), 160000) if bits else 96000
        coding = Coding(codec, rate, layout, None if _lossless(encoder) else each * channels)
        if _works(container, coding):
            return coding
    return None


def _sound(samples: NDArray[np.float32], coding: Coding, at: int) -> Any:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", coding.layout)
    frame.sample_rate, frame.pts, frame.time_base = coding.rate, at, Fraction(1, coding.rate)
    return frame


class Tempo:
    """Slows sound, its pitch kept. Passive: push samples, get samples; exact in length once flushed.

    slower   1 or more
    rate     samples a second that come in; `out` samples a second that go out
    layout   FFmpeg's name of the channels

    The time-domain overlap-add of FFmpeg's atempo filter, a row of them where one does not go slow enough.
    """

    def __init__(self, slower: Fraction, rate: int, layout: str, out: int) -> None:
        self.channels = int(av.AudioLayout(layout).nb_channels)
        self._slower, self._rate, self._layout, self._out = slower, rate, layout, out
        self._in = self._given = 0
        graph = self._graph = av.filter.Graph()
        count = math.ceil(math.log(slower, _SLOWEST)) if slower > 1 else 0
        form = {"sample_fmts": "fltp", "sample_rates": str(out), "channel_layouts": layout}
        nodes = [graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate))]
        nodes += [graph.add("atempo", repr(float(1 / slower) ** (1 / count))) for _ in range(count)]
        nodes += [graph.add("aformat", **form), graph.add("abuffersink")]
        graph.link_nodes(*nodes).configure()

    @property
    def taken(self) -> int:
        """Samples pushed so far."""
        return self._in

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (channels, samples) in, as much as is ready out."""
        self._in += samples.shape[1]
        return self._counted(self._through(samples))

    def flush(self) -> NDArray[np.float32]:
        """The rest: with what was given before it is as long as what was pushed, slowed, to the sample."""
        missing = round(self._in * self._slower * self._out / self._rate) - self._given
        parts = [self._through(np.zeros((self.channels, round(_TAIL * self._rate)), np.float32))]
        self._graph.push(None)
        parts.append(self._pull())
        rest = np.concatenate(parts, axis=1)[:, : max(missing, 0)]
        rest = np.pad(rest, ((0, 0), (0, max(missing, 0) - rest.shape[1])))
        return self._counted(rest)

    def _counted(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._given += samples.shape[1]
        return samples

    def _through(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not samples.shape[1]:
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        self._graph.push(frame)
        return self._pull()

    def _pull(self) -> NDArray[np.float32]:
        parts: list[Any] = [np.zeros((self.channels, 0), np.float32)]
        while True:
            try:
                frame: Any = self._graph.pull()
            except (BlockingIOError, av.error.EOFError):
                return np.concatenate(parts, axis=1)
            parts.append(frame.to_ndarray())


class Stretched(Carried):
    """A stream of sound that plays as slowly as the picture."""

    def __init__(self, stream: Any, pace: Pace, coding: Coding) -> None:
        super().__init__(stream, pace)
        self.coding = coding
        self._tempo: Tempo | None = None
        self._resampler: Any = None
        self._form: Any = None
        self._begin = Fraction(0)  # of the first sample, on the clock of the source
        self._next = 0  # the number of the next sample to encode; from the output's time 0
        self.damaged = 0

    def __str__(self) -> str:
        times = f"{float(self.pace.slower):g}"
        return f"{describe(self.source)} stretched to {times} times its length at its pitch, as {self.coding.codec}"

    def add_to(self, container: Any) -> None:
        self.target = self.coding.add_to(container)
        self.target.metadata.update(stream_tags(self.source.metadata))
        self.tag(container)

    def packets(self, packet: Any) -> Iterator[Any]:
        yield from self._decoded(packet)

    def rest(self) -> Iterator[Any]:
        yield from self._decoded(None)
        if self._tempo is not None:
            yield from self._encoded(self._tempo.flush())
            yield from self._timed(self.target.encode(None))

    def _decoded(self, packet: Any) -> Iterator[Any]:
        try:
            frames = self.source.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.FFmpegError:  # the gap is filled with silence
            self.damaged += 1
            return
        for frame in frames:
            yield from self._heard(frame)

    def _heard(self, frame: Any) -> Iterator[Any]:
        if self._tempo is None:
            self._rate = int(frame.sample_rate)
            at = frame.pts * frame.time_base if frame.pts is not None else Fraction(0)
            self._begin = at
            self._tempo = Tempo(self.pace.slower, self._rate, self.coding.layout, self.coding.rate)
            start = self.pace.origin + (at - self.pace.origin) * self.pace.slower
            self._next = round(start * self.coding.rate)
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            self._form = form
            self._resampler = av.AudioResampler(format="fltp", layout=self.coding.layout, rate=self._rate)
        for part in self._resampler.resample(frame):
            yield from self._encoded(self._tempo.push(self._placed(part.to_ndarray(), frame)))

    def _placed(self, samples: NDArray[np.float32], frame: Any) -> NDArray[np.float32]:
        """The samples, with silence before them where the file has a gap, without those that came before."""
        assert self._tempo is not None
        if frame.pts is None:
            return samples
        expected = self._begin + Fraction(self._tempo.taken, self._rate)
        gap = frame.pts * frame.time_base - expected
        if abs(gap) <= _GAP:
            return samples
        missing = round(gap * self._rate)
        return np.pad(samples, ((0, 0), (missing, 0))) if missing > 0 else samples[:, -missing:]

    def _encoded(self, samples: NDArray[np.float32]) -> Iterator[Any]:
        if self._next < 0:  # before the output begins
            early = min(-self._next, samples.shape[1])
            samples, self._next = samples[:, early:], self._next + early
        if self.until is not None:
            samples = samples[:, : max(0, math.floor(self.until * self.coding.rate) - self._next)]
        if samples.shape[1]:
            frame = _sound(samples, self.coding, self._next)
            self._next += samples.shape[1]
            yield from self._timed(self.target.encode(frame))

    def _timed(self, packets: list[Any]) -> Iterator[Any]:
        for packet in packets:
            if packet.pts is not None:
                yield packet
