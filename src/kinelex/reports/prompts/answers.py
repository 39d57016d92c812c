"""What the texts of a prompt store are like: empty, repeated, endless, long, and how many are different."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kinelex.prompts.language import split_sentences

LONG = 60  # words: about what CLIP's text tower reads, 77 tokens
_TIMES, _PHRASE = 3, 8  # a phrase of up to so many words, so many times on end, is a loop


def words_of(text: str) -> list[str]:
    """The words of a text in small letters.

    >>> words_of("He's sitting, still.")
    ["he's", 'sitting', 'still']
    """
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def is_loop(text: str) -> bool:
    """Whether a text says a sentence twice, or a phrase three times on end: the model got stuck.

    >>> is_loop("He sits. He sits."), is_loop("a cup and a cup and a cup and"), is_loop("He sits.")
    (True, True, False)
    """
    sentences = [" ".join(words_of(s)) for s in split_sentences(text)]
    if len(set(sentences)) < len(sentences):
        return True
    words = words_of(text)
    for length in range(1, min(_PHRASE, len(words) // _TIMES) + 1):
        same = 0  # so many words in a row equal the one a phrase earlier
        for before, word in zip(words, words[length:], strict=False):
            same = same + 1 if before == word else 0
            if same == length * (_TIMES - 1):
                return True
    return False


def answer_numbers(texts: Iterable[Sequence[str] | None]) -> dict[str, Any]:
    """Counts and shares over all answers; a clip without texts is left out.

    Returns:
        ``answers``; the shares ``empty`` (no letter or digit), ``repeated`` (an earlier answer of the same
        clip says the same), ``loops`` (see :func:`is_loop`) and ``long`` (more than :data:`LONG` words);
        ``distinct_texts``, ``distinct_sentences``, ``distinct_words``; ``distinct_per_clip`` (mean share of a
        clip's answers that differ); ``words`` (median, 5 % and 95 % quantile, longest); ``lengths`` (answers
        by number of words); ``frequent`` (the most frequent answers and how often they occur).

    >>> numbers = answer_numbers([["He sits.", "He sits."], ["He stands.", ""], None])
    >>> numbers["answers"], numbers["empty"], numbers["repeated"], numbers["distinct_texts"]
    (4, 0.25, 0.25, 3)
    """
    clips = [clip for clip in texts if clip]
    counts = Counter(text for clip in clips for text in clip)
    total = sum(counts.values())
    if not total:
        return {"answers": 0}
    length = {text: len(words_of(text)) for text in counts}
    lengths = np.zeros(max(length.values()) + 1, np.int64)
    for text, count in counts.items():
        lengths[length[text]] += count
    by_answer = np.repeat(np.arange(len(lengths)), lengths)
    median, low, high = np.quantile(by_answer, [0.5, 0.05, 0.95]).tolist()
    repeated = sum(len(full) - len(set(full)) for clip in clips if (full := [t for t in clip if length[t]]))
    return {
        "answers": total,
        "empty": float(lengths[0] / total),
        "repeated": repeated / total,
        "loops": sum(count for text, count in counts.items() if is_loop(text)) / total,
        "long": float(lengths[LONG + 1 :].sum() / total),
        "distinct_texts": len(counts),
        "distinct_sentences": len({s for text in counts for s in split_sentences(text)}),
        "distinct_words": len({word for text in counts for word in words_of(text)}),
        "distinct_per_clip": float(np.mean([len(set(clip)) / len(clip) for clip in clips])),
        "words": {"median": median, "q05": low, "q95": high, "longest": len(lengths) - 1},
        "lengths": lengths.tolist(),
        "frequent": counts.most_common(5),
    }
