"""The number of what is computed: raised by whoever changes what a feature, a task or a baseline comes to."""

VERSION = 8
