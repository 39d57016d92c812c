"""The clips of the built-in actors, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Listing
from itertools import count
from pathlib import Path

import numpy as np

from kinelex.data import Sequence, SkeletonStoreWriter, StoreMeta
from kinelex.data.splits.published import fulfils, rules_of
from kinelex.datasets.synthetic.body import LAYOUT
from kinelex.datasets.synthetic.camera import CAMERAS, record, view
from kinelex.datasets.synthetic.movements import movements
from kinelex.datasets.synthetic.performance import ACTIONS, perform
from kinelex.datasets.synthetic.performers import NUM_PERFORMERS, Performer, make_performer
from kinelex.datasets.synthetic.take import Action
from kinelex.errors import InputError, check_name, unknown_name
from kinelex.skeleton import SkeletonLayout, get_layout, retarget_matrix

Key = tuple[int, int, int, int]  # action, performer, camera, repetition, each from 1
Update = Callable[[int, int], None]


def known_actions(which: str = "basic") -> tuple[Action, ...]:
    """The actions by the name of a list: the ``basic`` 24, or ``all``, with the movements from parameters.

    Raises:
        InputError: no such list.

    >>> len(known_actions()), len(known_actions("all"))
    (24, 164)
    """
    check_name("list of actions", which, ("basic", "all"))
    return ACTIONS if which == "basic" else (*ACTIONS, *movements())


def actors_meta(
    clips: int = 960, seed: int = 0, actions: Listing[Action] = ACTIONS, layout: SkeletonLayout = LAYOUT
) -> StoreMeta:
    """What a store of the built-in actors says about itself.

    >>> len(actors_meta().class_names)
    24
    """
    prepared = {"simulation": "kinelex built-in actors, version 1", "seed": seed, "clips": clips}
    names = tuple(action.name for action in actions)
    source = "simulated: forward kinematics of scripted performers, no recording"
    return StoreMeta("actors", layout, names, source=source, prepared=prepared)


def clip_key(index: int, actions: int = len(ACTIONS)) -> Key:
    """Which clip comes at a position: (action, performer, camera, repetition), each from 1.

    Any number of clips is spread evenly. Of 24 actions, each run of 24 has every action, each run of 240
    every action by every performer, each run of 720 all of them from every camera.

    >>> clip_key(0), clip_key(959)
    ((1, 1, 1, 1), (24, 3, 2, 2))
    """
    rest, action = divmod(index, actions)
    rest, turn = divmod(rest, NUM_PERFORMERS)
    repetition, shift = divmod(rest, len(CAMERAS))
    performer = (turn + action) % NUM_PERFORMERS
    camera = (performer + action + shift) % len(CAMERAS)
    return action + 1, performer + 1, camera + 1, repetition + 1


def protocol_keys(protocol: str, train: int, test: int) -> list[Key]:
    """The first clips of a protocol's two parts, without those that neither part has.

    Args:
        protocol: a protocol of the actors, for example ``unseen``.
        train, test: how many clips of each part.

    Returns:
        Keys in the order of :func:`clip_key`.

    Raises:
        InputError: no such protocol.

    >>> protocol_keys("unseen", train=2, test=1)
    [(1, 1, 1, 1), (3, 3, 2, 1), (8, 8, 3, 1)]
    """
    rules = rules_of("actors")
    if protocol not in rules:
        raise unknown_name("protocol of actors", protocol, rules)
    left = {"train": train, "test": test}
    found: list[Key] = []
    for key in map(clip_key, count()):
        if not any(left.values()):
            return found
        columns = dict(zip(("action", "subject", "camera", "replication"), np.array(key), strict=True))
        for part in left:
            if left[part] and fulfils(columns, rules[protocol][part]):
                left[part] -= 1
                found.append(key)
    return found


def make_clip(
    key: Key,
    performers: list[Performer],
    seed: int = 0,
    actions: Listing[Action] = ACTIONS,
    layout: SkeletonLayout = LAYOUT,
) -> Sequence:
    """One clip; it depends on the key and the seed alone, not on the clips before it.

    Args:
        key: (action, performer, camera, repetition) as :func:`clip_key` gives it.
        performers: all performers of the seed, number 1 first.
        seed: seed of the whole set.
        actions: the actions, in the order of their labels.
        layout: the layout of the result.

    >>> clip = make_clip((7, 3, 2, 1), [make_performer(n) for n in range(1, 11)])
    >>> clip.id, clip.coordinates.shape[1:]
    ('a07p03c2r01', (1, 25, 3))
    """
    action_number, number, camera, repetition = key
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, *key)))
    action, performer = actions[action_number - 1], performers[number - 1]
    partner = performers[(number - 1) ^ 1]  # 1 with 2, 3 with 4, ...
    shown = perform(action, performer, rng, partner)
    facing = performer.facing + rng.normal(0, 10)
    if action.partner is not None:  # seen from the side, one on the left or on the right
        facing += 90.0 if rng.uniform() < 0.5 else -90.0
    coordinates = record(view(shown.coordinates, camera, facing, rng), rng)
    if layout.joints != LAYOUT.joints:
        coordinates = np.einsum("tmvc,uv->tmuc", coordinates, retarget_matrix(LAYOUT, layout))
    return Sequence(
        id=f"a{action_number:02d}p{number:02d}c{camera}r{repetition:02d}",
        coordinates=coordinates.astype(np.float32),
        label=action_number - 1,
        subject=number,
        camera=camera,
        replication=repetition,
        caption=shown.caption,
    )


def generate_actors(
    clips: int | Listing[Key] = 960,
    seed: int = 0,
    actions: Listing[Action] = ACTIONS,
    layout: SkeletonLayout = LAYOUT,
) -> Iterator[Sequence]:
    """The built-in actors: simulated clips, the same for the same seed.

    Args:
        clips: how many clips (fewer are the first ones of more), or which ones (:func:`protocol_keys`).
        seed: draws the performers and their takes.
        actions, layout: see :func:`make_clip`.

    Raises:
        InputError: fewer than one clip, or a negative seed.

    >>> [clip.id for clip in generate_actors(clips=2)]
    ['a01p01c1r01', 'a02p02c3r01']
    """
    keys = [clip_key(i, len(actions)) for i in range(clips)] if isinstance(clips, int) else clips
    _check(len(keys), seed)
    performers = [make_performer(number, seed) for number in range(1, NUM_PERFORMERS + 1)]
    return (make_clip(key, performers, seed, actions, layout) for key in keys)


def write_actors(
    path: str | Path,
    clips: int | Listing[Key] = 960,
    seed: int = 0,
    progress: Update | None = None,
    actions: str = "basic",
    layout: str = "ntu25",
) -> int:
    """Write a skeleton store of the built-in actors.

    Args:
        path: the store to make.
        clips, seed: see :func:`generate_actors`.
        progress: called with the number of clips written and the number of all clips.
        actions: ``basic`` or ``all``, see :func:`known_actions`.
        layout: the layout of the clips, by name or as a YAML file.

    Returns:
        Number of clips written.

    Raises:
        InputError: fewer than one clip, a negative seed, no such list of actions, or a layout whose joints
            the actors do not have.
    """
    played = known_actions(actions), get_layout(layout)
    retarget_matrix(LAYOUT, played[1])
    total = clips if isinstance(clips, int) else len(clips)
    made = generate_actors(clips, seed, *played)
    with SkeletonStoreWriter(path, actors_meta(total, seed, *played)) as writer:
        for done, clip in enumerate(made, start=1):
            writer.add(clip)
            if progress is not None:
                progress(done, total)
    return total


def _check(clips: int, seed: int) -> None:
    if clips < 1:
        raise InputError(f"the built-in actors need at least 1 clip, got clips={clips}")
    if seed < 0:
        raise InputError(f"expects a seed of 0 or more, got seed={seed}")
