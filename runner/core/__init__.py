"""The pure core: values in, values out. It knows nothing of files, processes or screens.

The map, in import order; a module may import only from those above it:

problem     Marks and Problems: what is wrong, where, and the way out
document    one YAML text -> a tree that remembers its places
recipe      files, profiles, environment and --set -> one recipe
template    {{ }} filled in, types kept
catalog     schema/tools -> frozen Tools and Parameters
check       a value against its schema, in words
resolve     a recipe's stages: inheritance, templates, defaults, uses
plan        a recipe -> a Plan of frozen Stages, in order
budget      the arithmetic of a training
smoke       a plan -> the same plan at toy scale
provenance  who said a value, and who was overruled
rows        rows of data -> what is wrong with them
rules       a stage of a plan -> what MLX would do with it
invocation  a Stage -> the words and the configuration file of its command
script      a Plan -> bash
resolved    a Plan -> a recipe that says everything
audit       planned against seen
drift       the catalogue against an installed mlx-lm
health      facts of a machine -> whether it is fit
manifest    what happened in a run
failure     how a stage ended -> its class and guidance
editor      the catalogue -> recipe.schema.json
"""
