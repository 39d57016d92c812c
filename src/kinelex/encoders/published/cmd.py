"""The published CMD checkpoint's names and ours.

The published method holds ``encoder_q`` and ``encoder_k`` for the joints, the same with ``_motion`` and
``_bone`` behind for the other streams, a queue and a pointer for each. Each encoder is ``input_norm``, a
bidirectional ``encoder.gru`` whose ``_reverse`` half also runs forward in time, and the head ``fc``.
"""

import re

import torch
from torch import Tensor

from kinelex.errors import InputError

SUFFIXES = {"joint": "", "motion": "_motion", "bone": "_bone"}
_GRU = re.compile(r"encoder\.gru\.((?:weight|bias)_[ih]h)_l(\d+)(_reverse)?$")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_KINDS = {"encoder_q": "query", "encoder_k": "key"}
_WHAT_TO_DO = "expects the state_dict of a checkpoint that the published CMD pre-training wrote"


def encoder_name(name: str) -> str | None:
    """Our name of a published encoder's parameter or buffer; None for the head and anything else.

    >>> encoder_name("encoder.gru.weight_ih_l2_reverse")
    'recurrent.second.2.weight_ih_l0'
    """
    if match := _GRU.match(name):
        kind, layer, reverse = match.groups()
        return f"recurrent.{'second' if reverse else 'first'}.{layer}.{kind}_l0"
    return name if name.startswith("input_norm.") else None


def method_name(name: str) -> str | None:
    """Our name of a parameter or buffer of the published method; None for a queue, a pointer and others.

    >>> method_name("encoder_k_bone.fc.2.bias")
    'key.bone.head.2.bias'
    """
    place, _, rest = name.partition(".")
    for published, ours in _KINDS.items():
        for stream, suffix in SUFFIXES.items():
            if place == published + suffix:
                inside = encoder_name(rest)
                if inside is not None:
                    return f"{ours}.{stream}.encoder.{inside}"
                return f"{ours}.{stream}.head.{rest.removeprefix('fc.')}" if rest.startswith("fc.") else None
    return None


def published_to_encoder(state: dict[str, Tensor], origin: str = "the checkpoint") -> dict[str, Tensor]:
    """The state of a bare published encoder (``encoder.gru...``, ``input_norm...``) under our names."""
    state = _plain(state)
    layers = {int(match.group(2)) for name in state if (match := _GRU.match(name))}
    wanted = [f"input_norm.{name}" for name in _NORM]
    for layer in range(max(layers, default=0) + 1):
        for way in ("", "_reverse"):
            wanted += [f"encoder.gru.{kind}_{g}h_l{layer}{way}" for kind in ("weight", "bias") for g in "ih"]
    missing = [name for name in wanted if name not in state]
    if missing:
        network = "bidirectional GRU behind a batch norm"
        raise InputError(f"{origin} has no {missing[0]}: {_WHAT_TO_DO} ({network})")
    hidden = state["encoder.gru.weight_hh_l0"].shape[-1:].numel()
    width = state["input_norm.weight"].numel()
    for kind, columns in (("hh", hidden), ("ih", width)):
        shape = tuple(state[f"encoder.gru.weight_{kind}_l0"].shape)
        if shape != (3 * hidden, columns):
            raise InputError(
                f"{origin}: a GRU of {hidden} states over {width} numbers has weight_{kind}_l0 "
                f"{(3 * hidden, columns)}, got {shape}: {_WHAT_TO_DO}"
            )
    return {str(encoder_name(name)): state[name] for name in wanted}


def published_to_encoders(
    state: dict[str, Tensor], origin: str = "the checkpoint"
) -> dict[str, dict[str, Tensor]]:
    """The query encoders of a published checkpoint, by stream, as :class:`RecurrentEncoder` loads them."""
    state = _plain(state)
    encoders = {}
    for stream, suffix in SUFFIXES.items():
        prefix = f"encoder_q{suffix}."
        inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if inside:
            encoders[stream] = published_to_encoder(inside, f"{origin}, {prefix[:-1]},")
    if not encoders:
        names = ", ".join(list(state)[:3]) or "nothing"
        raise InputError(f"{origin} has no encoder_q, its parameters are {names}, ...: {_WHAT_TO_DO}")
    return encoders


def encoder_options(state: dict[str, Tensor], joints: int, in_channels: int = 3) -> dict[str, int]:
    """The options of the encoder ``gru`` that a state of :func:`published_to_encoders` asks for."""
    width, per_person = len(state["input_norm.weight"]), joints * in_channels
    if width % per_person:
        raise InputError(
            f"the checkpoint reads {width} numbers per frame, which is no multiple of {joints} joints of "
            f"{in_channels} coordinates: choose the layout that it was trained on (the published ones: ntu25)"
        )
    layers = {name.split(".")[2] for name in state if name.startswith("recurrent.first.")}
    hidden = state["recurrent.first.0.weight_hh_l0"].shape[1]
    return {"persons": width // per_person, "hidden": hidden, "layers": len(layers)}


def published_to_method(state: dict[str, Tensor], origin: str = "the checkpoint") -> dict[str, Tensor]:
    """The state of the whole published method as :class:`~kinelex.methods.cmd.CMD` loads it."""
    state = _plain(state)
    published_to_encoders(state, origin)  # says what is missing
    queues = [f"queue{suffix}" for suffix in SUFFIXES.values()]
    pointers = [f"queue_ptr{suffix}" for suffix in SUFFIXES.values()]
    heads = [f"{kind}{s}.fc.2.weight" for kind in _KINDS for s in SUFFIXES.values()]
    for name in (*queues, *pointers, *heads):
        if name not in state:
            raise InputError(f"{origin} has no {name}: {_WHAT_TO_DO}, with MLP heads and three streams")
    where = torch.stack([state[name].reshape(()) for name in pointers])
    if (where != where[0]).any():
        raise InputError(
            f"{origin}: the streams' queue pointers differ ({', '.join(map(str, where.tolist()))}), "
            "so that a slot is not the same clip in all queues: only its encoders can be used"
        )
    result = {"queue": torch.stack([state[name] for name in queues]), "pointer": where[0]}
    for name, value in state.items():
        if ours := method_name(name):
            result[ours] = value
    return result


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix that DataParallel leaves."""
    return {name.removeprefix("module."): value for name, value in state.items()}
