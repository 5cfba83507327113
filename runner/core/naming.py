"""What names of files mean: ``builtin:NAME`` is shipped, NAME.test.yaml tests NAME.yaml."""

BUILTIN = "builtin:"
ENDING = ".test.yaml"
