"""Running tasks: their options, the cache around them, and the score files they leave."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kinelex.errors import InputError
from kinelex.evaluation.context import Context, Task
from kinelex.evaluation.protocols.registry import TASKS, find_task
from kinelex.evaluation.scores import write_scores
from kinelex.inference.cache import digest, run_digest
from kinelex.options import read_options


def task_options(names: Iterable[str], given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options of tasks, checked, by task in the order of the names.

    Args:
        names: the tasks.
        given: options by task, values or their text.

    Raises:
        InputError: no such task or option, a task given twice, a value of the wrong type, or options of a
            task that is not asked for.

    >>> task_options(["knn"], {"knn": {"k": "5"}})["knn"].k
    5
    """
    names = list(names)
    TASKS.check(*names, *given)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the task {twice} is given twice: {','.join(names)}")
    other = next((name for name in given if names and name not in names), None)
    if other is not None:
        raise InputError(f"options of {other} are given, but it is not among the tasks: {','.join(names)}")
    found = {}
    for name in names:
        options = find_task(name).Options
        found[name] = options(**read_options(options, given.get(name, {}), f"the task {name}", name))
    return found


def run_tasks(context: Context, chosen: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Run tasks, or read what they found before, and write their score files.

    All tasks that are to be run are checked before the first of them computes.

    Returns:
        The numbers by task, with ``title`` and, where there are any, ``curves``.
    """
    tasks = {name: find_task(name) for name in chosen}
    keys = {name: _key(context, task, chosen[name]) for name, task in tasks.items()}
    cached = {name: context.cache.read_json(name, keys[name]) for name in tasks}
    for name, task in tasks.items():
        if cached[name] is None and hasattr(task, "check"):
            task.check(context, chosen[name])
    numbers, folder = {}, None
    for name, task in tasks.items():
        if cached[name] is not None:
            context.console.print(f"{name}: cached", markup=False)
        content, scores = cached[name] or _computed(context, task, chosen[name], keys[name])
        numbers[name] = {"title": task.title, **content["numbers"]}
        if content["curves"]:
            numbers[name]["curves"] = content["curves"]
        if scores:
            by_stream = {key.removeprefix("scores-"): values for key, values in scores.items()}
            folder = write_scores(context, name, by_stream)
    if folder is not None:
        context.console.print(f"scores in {folder}", markup=False, soft_wrap=True)
    return numbers


def _computed(context: Context, task: Task, options: Any, key: str) -> tuple[Any, dict[str, Any]]:
    """What the task finds, as the cache will give it the next time."""
    result = task.run(context, options)
    content = {"numbers": result.numbers, "curves": result.curves}
    scores = {f"scores-{stream}": values for stream, values in result.scores.items()}
    context.cache.write_json(task.name, key, content, scores)
    return json.loads(json.dumps(content)), scores


def _key(context: Context, task: Task, options: Any) -> str:
    """Stands for all that a task's result depends on."""
    prompts = context.prompts if getattr(task, "reads_prompts", False) else None
    given = {
        key: context.file_digest(value) if isinstance(value, Path) and value.is_file() else value
        for key, value in vars(options).items()
    }
    return digest(
        f"{type(task).__module__}.{type(task).__qualname__}",
        run_digest(context.run.path),
        context.encoder_digests,
        context.clips_digest,
        (task.name, given, context.seed, None if prompts is None else context.file_digest(prompts.path)),
    )
