"""A transform: one of a recipe's list, ``- mirror_time: {chance: 0.5}``."""
