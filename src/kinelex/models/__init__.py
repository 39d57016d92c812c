"""Networks of other libraries that prompts, MMCL and names of joints share."""
