"""Networks of other libraries that prompts and MMCL share."""
