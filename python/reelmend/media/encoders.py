"""Which encoder, in which pixel format: chosen by encoding a real frame, never by guessing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import av
from av.codec.context import Flags

from ..errors import OptionError, SinkError
from ..frame import Matrix, PixelFormat, Range, Transfer, VideoInfo
from .hdr import Hdr

__all__ = ["ENCODERS", "Choice", "choose", "probe", "settings"]

# SVT-AV1 prints its own banner otherwise; it reads the environment once, when it is first opened.
os.environ.setdefault("SVT_LOG", "1")


@dataclass(frozen=True, slots=True)
class Encoder:
    """name: ours; codecs: FFmpeg's, tried in order; crf: default quality, None where it has none."""

    name: str
    codecs: tuple[str, ...]
    crf: int | None
    best: int
    worst: int


ENCODERS = {
    e.name: e
    for e in (
        Encoder("x264", ("libx264",), 18, 0, 51),
        Encoder("x265", ("libx265",), 20, 0, 51),
        Encoder("svtav1", ("libsvtav1",), 28, 1, 63),
        Encoder("vp9", ("libvpx-vp9",), 24, 0, 63),
        Encoder("ffv1", ("ffv1",), None, 0, 0),
        Encoder("prores", ("prores_ks",), None, 0, 0),
        Encoder("nvenc", ("h264_nvenc", "hevc_nvenc"), 19, 1, 51),
        Encoder("nvcodec", ("h264_nvcodec",), 19, 1, 51),
    )
}
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_CONTAINERS = {
    "webm": ("svtav1", "vp9"),
    "avi": ("ffv1",),
    "nut": ("ffv1",),
}
# An encoder that is not FFmpeg's: the codec it writes, and what it is given.
_NVCODEC = {"h264_nvcodec": ("libx264", "yuv420p")}
# Packed formats an encoder may list in place of gbrp; repacking them loses nothing.
_REPACKED = {"gbrp": ("rgb24", "bgr0"), "gbrap": ("bgra", "rgba"), "gbrp16": ("rgb48le",), "gbrap16": ("rgba64le",)}


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder that has proved to work.

    name, codec  ours ("x265") and FFmpeg's ("libx265"); pix_fmt: what it is given
    why          one line for the plan; notes: what was wanted and not taken, what is lost
    convert      "same", or how colours change on the way ("rgb_to_yuv", "yuv_to_rgb")
    index        the GPU whose frames it takes as they are; None: frames are to be on the CPU
    """

    name: str
    codec: str
    pix_fmt: str
    why: str
    notes: tuple[str, ...] = ()
    convert: str = "same"
    index: int | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    pix_fmt: str
    cost: int  # 0 nothing changes, 1 nothing is lost but it grows, 2 something is lost
    lost: str = ""


def _formats(codec: str) -> list[str]:
    return [f.name for f in av.Codec(codec, "w").video_formats or ()]


def _targets(codec: str, fmt: PixelFormat) -> list[_Target]:
    """Formats of this encoder for such frames, best first."""
    try:
        formats = [_NVCODEC[codec][1]] if codec in _NVCODEC else _formats(codec)
    except (av.FFmpegError, ValueError):
        return []
    found: dict[str, tuple[tuple[int, ...], _Target]] = {}
    for name in formats:
        plain = name.removesuffix("le")
        if name.endswith("be") or plain.startswith("yuvj"):
            continue
        wanted = fmt.name if not fmt.packed else PixelFormat("rgb", fmt.depth, (0, 0), alpha=fmt.alpha).name
        if plain == wanted or name in _REPACKED.get(wanted, ()):
            found[name] = ((0, 0), _Target(name, 0))
            continue
        try:
            to = PixelFormat.parse(name)
        except Exception:
            continue
        if to.packed or to.alpha > fmt.alpha:
            continue
        lost = []
        grown = 0
        if fmt.alpha and not to.alpha:
            lost.append("transparency")
        if to.depth < fmt.depth:
            lost.append(f"{fmt.depth} to {to.depth} bits")
        grown += 16 * max(0, to.depth - fmt.depth)
        if to.kind != fmt.kind:
            if fmt.kind == "gray" and to.kind == "yuv" and to.subsampling == (1, 1) and to.depth == fmt.depth:
                grown += 1
            elif fmt.kind == "rgb" and to.kind == "yuv":
                lost.append("RGB to YUV")
                if to.subsampling != (0, 0):
                    lost.append("chroma resolution")
            else:
                continue
        elif fmt.kind == "yuv":
            for have, gets in zip(fmt.subsampling, to.subsampling, strict=True):
                if gets > have:
                    lost.append("chroma resolution")
                grown += 4 * max(0, have - gets)
        lost = list(dict.fromkeys(lost))
        depth_lost = max(0, fmt.depth - to.depth)
        rank = (2 if lost else 1, 10 * len([t for t in lost if "bits" not in t]) + depth_lost, grown)
        found[name] = (rank, _Target(name, rank[0], ", ".join(lost)))
    return [t for _, t in sorted(found.values(), key=lambda pair: pair[0])]


@lru_cache(maxsize=256)
def probe(codec: str, pix_fmt: str, width: int = 256, height: int = 144) -> str:
    """Encode one frame; "" if that worked, else why not. Remembered for the life of the process."""
    if codec in _NVCODEC:
        from .nvcodec_encoder import nvcodec_why_not

        return nvcodec_why_not(width, height)
    try:
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = width, height, pix_fmt  # type: ignore[attr-defined]
        context.time_base = Fraction(1, 25)
        context.framerate = Fraction(25)  # type: ignore[attr-defined]
        context.options = {"libx265": {"x265-params": "log-level=none"}, "libx264": {"preset": "ultrafast"}}.get(
            codec, {}
        )
        frame = av.VideoFrame(width, height, pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        packets = context.encode(frame) + context.encode(None)  # type: ignore[attr-defined]
        return "" if sum(p.size for p in packets) else "it gave no data"
    except Exception as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"no NVENC card and driver found ({why})" if codec.endswith("_nvenc") else why


@lru_cache(maxsize=64)
def _fits(container: str, codec: str) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=container) as out:
            out.add_stream(_NVCODEC[codec][0] if codec in _NVCODEC else codec, rate=25)
        return True
    except (av.FFmpegError, ValueError):
        return False


def _order(container: str, info: VideoInfo, requested: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(encoder, formats it should use first) to try, in order."""
    fmt = info.format
    if requested != "auto":
        yield requested, ()
        fallback = "x265" if fmt.depth > 8 else "x264"
        if requested in ("nvenc", "nvcodec"):
            yield from (("nvenc", ()),) if requested == "nvcodec" else ()
            yield fallback, ()
            yield "x264", ()
        elif requested == "svtav1":
            yield "vp9", ()
        return
    hdr = info.colour.transfer in (Transfer.PQ, Transfer.HLG)
    if container in _CONTAINERS:
        names: tuple[str, ...] = _CONTAINERS[container]
    elif container == "matroska" and (fmt.kind == "rgb" or fmt.depth > 12 or fmt.alpha):
        names = ("ffv1", "x265", "x264")
    elif fmt.depth > 8 or hdr:
        names = ("x265", "svtav1", "ffv1", "x264")
    else:
        names = ("x264", "vp9", "x265", "ffv1")
    common = ("yuv420p",) if fmt.depth == 8 else ("yuv420p10le",)
    for name in names:
        # Players expect 4:2:0 from MP4 and its like; grey and RGB H.264 / H.265 rarely play.
        wide = name != "ffv1" and fmt.kind != "yuv"
        yield name, common if wide else ()


def choose(container: str, info: VideoInfo, requested: str = "auto", index: int | None = None) -> Choice:
    """The encoder for this video in this container (FFmpeg's muxer name, such as "mp4" or "matroska").

    index  the number of the GPU that frames are on; None for the CPU

    Raises OptionError for an unknown name, SinkError where nothing works.
    """
    if requested != "auto" and requested not in ENCODERS:
        raise OptionError(f"unknown encoder {requested!r}; choose auto, {', '.join(ENCODERS)}")
    choice = _choose(container, info, requested)
    return choice if index is None or choice.name not in ("nvenc", "nvcodec") else _on_gpu(choice, info, index)


def _on_gpu(choice: Choice, info: VideoInfo, index: int) -> Choice:
    """The same, taking frames where they are if that works; a note if it does not."""
    from .hardware import SURFACES, nvenc_why_not, why_no_gpu

    if choice.convert != "same" or info.format.name not in SURFACES or info.width % 2 or info.height % 2:
        why = f"NVENC takes {' and '.join(SURFACES)} of even size there, this is {info}"
    elif choice.name == "nvcodec":
        why = why_no_gpu(index)
    else:
        why = nvenc_why_not(choice.codec, SURFACES[info.format.name], index)
    if why:
        return replace(choice, notes=(*choice.notes, f"frames are copied to the CPU for the encoder: {why}"))
    return replace(choice, index=index, why=f"{choice.why}, from frames on GPU {index}")


def _choose(container: str, info: VideoInfo, requested: str) -> Choice:
    notes: list[str] = []
    second: list[tuple[int, Choice]] = []
    for name, preferred in _order(container, info, requested):
        for codec in ENCODERS[name].codecs:
            if codec == "h264_nvenc" and info.format.depth > 8:  # that is the part of hevc_nvenc
                continue
            if not _fits(container, codec):
                notes.append(f"{name} not used: {container} cannot hold it")
                continue
            target = _working(name, codec, info, preferred, notes)
            if target is None:
                continue
            choice = _chosen(name, codec, target, info, container if requested == "auto" else "", notes)
            if requested != "auto" or target.cost == 0 or target.pix_fmt in preferred:
                return choice
            second.append((target.cost, choice))
    if second:
        best = min(second, key=lambda pair: pair[0])[1]
        return replace(best, notes=tuple(dict.fromkeys((*notes, *best.notes))))
    hint = "; ".join(notes[:3]) or "no encoder"
    raise SinkError(f"cannot encode {info} into {container}: {hint}; try another encoder, or an output ending in .mkv")


def _working(name: str, codec: str, info: VideoInfo, preferred: tuple[str, ...], notes: list[str]) -> _Target | None:
    """The best format in which this encoder takes a frame of such a size; notes tell of those it refused."""
    width = info.width if info.width < 256 else 256 + info.width % 2
    height = info.height if info.height < 256 else 256 + info.height % 2
    targets = _targets(codec, info.format)
    targets.sort(key=lambda t: t.pix_fmt not in preferred)
    refused: list[str] = []
    for target in targets:
        why_not = probe(codec, target.pix_fmt, width, height)
        if not why_not:
            notes.extend(refused[:1])
            return target
        odd = f" at {info.width}x{info.height}" if info.width % 2 or info.height % 2 else ""
        refused.append(f"{name} ({codec}, {target.pix_fmt}) not used{odd}: {why_not}")
    notes.extend(refused[:1])
    if not targets:
        notes.append(f"{name} ({codec}) not used: it has no format for {info.format.name}")
    return None


def _chosen(name: str, codec: str, target: _Target, info: VideoInfo, container: str, notes: list[str]) -> Choice:
    have, fmt = info.format, target.pix_fmt
    gets = "yuv" if fmt.startswith("yuv") else "gray" if fmt.startswith("gray") else "rgb"
    convert = {("rgb", "yuv"): "rgb_to_yuv", ("yuv", "rgb"): "yuv_to_rgb"}.get((have.kind, gets), "same")
    changes = []
    if target.cost and have.kind != "gray":
        changes = [f"{have.name} is written as {fmt}" + (f" (lost: {target.lost})" if target.lost else "")]
    why = f"{name} ({codec}), {fmt}" + (f", chosen for {container}" if container else "")
    return Choice(name, codec, fmt, why, (*notes, *changes), convert)


def output_colour(choice: Choice, info: VideoInfo) -> VideoInfo:
    """What the file will say of itself: `info` with the colour and format after conversion."""
    colour = info.colour
    if choice.convert == "rgb_to_yuv":
        matrix = Matrix.BT709 if info.height >= 720 else Matrix.SMPTE170M
        colour = replace(colour, matrix=matrix, range=Range.LIMITED)
    elif choice.convert == "yuv_to_rgb":
        colour = replace(colour, matrix=Matrix.RGB, range=Range.FULL)
    return replace(info, colour=colour)


def _level(preset: str, fast: int, slow: int) -> int:
    """A preset by name as a number between an encoder's fast and slow ends; numbers pass."""
    if preset.isdigit():
        return int(preset)
    at = _PRESETS.index(preset) / (len(_PRESETS) - 1)
    return round(fast + (slow - fast) * at)


def settings(
    choice: Choice, info: VideoInfo, crf: int | None, preset: str | None, hdr: Hdr | None
) -> tuple[dict[str, str], list[str]]:
    """FFmpeg options for the encoder, and what could not be kept. Raises OptionError for bad values."""
    encoder = ENCODERS[choice.name]
    notes: list[str] = []
    if crf is not None and encoder.crf is not None and not encoder.best <= crf <= encoder.worst:
        raise OptionError(f"crf of {choice.name} is {encoder.best} (best) to {encoder.worst}; got {crf}")
    if preset is not None and preset not in _PRESETS and not preset.isdigit():
        raise OptionError(f"unknown preset {preset!r}; choose {', '.join(_PRESETS)}, or the encoder's own number")
    if encoder.crf is None and crf is not None:
        notes.append(f"crf has no meaning for {choice.name}; ignored")
    quality = str(crf if crf is not None else encoder.crf)
    speed = preset or "medium"
    mastering, light = hdr.x26x() if hdr else (None, None)
    options: dict[str, str] = {}
    if choice.name == "x264":
        options = {"crf": quality, "preset": speed}
        words = [f"mastering-display={mastering}"] * bool(mastering) + [f"cll={light}"] * bool(light)
        if words:
            options["x264-params"] = ":".join(words)
    elif choice.name == "x265":
        options = {"crf": quality, "preset": speed}
        words = ["log-level=none", "repeat-headers=1"] if hdr else ["log-level=none"]
        words += [f"master-display={mastering}"] * bool(mastering) + [f"max-cll={light}"] * bool(light)
        if min(info.width, info.height) < 64:
            words.append("ctu=16")
        options["x265-params"] = ":".join(words)
    elif choice.name == "svtav1":
        options = {"crf": quality, "preset": str(_level(speed, 12, 2))}
        if hdr:
            mastering, light = hdr.svt()
            words = [f"mastering-display={mastering}"] * bool(mastering) + [f"content-light={light}"] * bool(light)
            options["svtav1-params"] = ":".join(words)
    elif choice.name == "vp9":
        options = {"crf": quality, "b": "0", "deadline": "good", "cpu-used": str(_level(speed, 8, 0)), "row-mt": "1"}
    elif choice.name == "ffv1":
        options = {"level": "3", "coder": "1", "context": "1", "slicecrc": "1", "g": "1"}
    elif choice.name == "prores":
        options = {"profile": "4444" if "444" in choice.pix_fmt else "hq", "vendor": "apl0"}
    elif choice.name == "nvcodec":
        options = {"rc": "constqp", "constqp": quality, "bf": "0", "tuning_info": "high_quality"}
        options["preset"] = f"P{max(1, min(7, _level(speed, 1, 7)))}"
    elif choice.name == "nvenc":
        options = {"rc": "vbr", "cq": quality, "b": "0", "preset": f"p{max(1, min(7, _level(speed, 1, 7)))}"}
    if hdr and choice.name not in ("x264", "x265", "svtav1"):
        notes.append(
            f"HDR10 mastering display and light level cannot be written by {choice.name}; colour tags are kept"
        )
    return options, notes


def frame_duration_flag(context: av.VideoCodecContext) -> None:
    """Let the encoder carry each frame's own duration, so that the last one is exact too."""
    context.flags |= Flags.frame_duration
