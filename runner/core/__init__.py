"""The pure core: values in, values out. It knows nothing of files, processes or screens.

The map, in import order; a module may import only from those above it:

visible     text from outside -> text that only shows, wherever it is shown
problem     Marks and Problems: what is wrong, where, and the way out
allowance   the work and the memory that values may take
naming      what names of files mean, and the folders above a path
tree        values that remember their places and what they replaced
scalar      a plain scalar's text -> its value, by YAML 1.2
flow        a value -> YAML on one line
syntax      YAML's complaints -> problems in words
document    one YAML text -> a tree
inline      one value in a word of a command line -> a tree
merge       layers of a tree -> one tree; !reset and !override
override    profiles, environment and --set -> layers
size        a recipe -> what of it is too much
recipe      files and what is laid over them -> one recipe
secret      what must never be written down
sandbox     what expressions are made of: groups of values, functions, errors
operators   what + and < and % do with YAML's values, bounded
filters     what filters, tests and methods do, without guesses
evaluator   Jinja's tree of an expression -> its value, step by step
expression  one expression and a scope -> a value
template    {{ }} filled in, types kept
catalog     schema/tools -> frozen Tools and Parameters
strict      a schema -> a validator of finite numbers and whole numbers
advice      a value of the wrong type -> the way out
check       a value against its schema, in words
draft       a recipe's stages after inheritance
scope       the names a template sees
resolve     drafts -> values, and what each value reads
blame       a refused value that a template made -> the user's own values, first
shape       a recipe's and its stages' own keys, checked
launch      a stage's launch: -> the launcher's parameters
trainer     a stage's keep: and watch: -> what stands around the trainer
plan        what will run: a Plan of frozen Stages
reading     a stage -> the paths it reads
saved       what a cut-off training left -> whether it goes on, in words
expect      expectations, checked before anything runs
judge       expectations and what was measured -> which of them hold
order       what stages read and make -> which wait for which, and the order they run in
written     paths that two stages write
unused      what a recipe says and nothing reads
compile     a recipe -> a Plan
leak        a compiled recipe -> the secrets it would write down
budget      the arithmetic of a training
staging     a stage -> the same, making its outputs beside their places
smoke       a plan -> the same plan at toy scale, and all it makes in the run directory
provenance  who said a value, and who was overruled
cause       two sides -> the lines that made a value another one
rows        rows of data -> what is wrong with them
prompts     a line of a prompts file -> a question and the rules for its answer
grade       an answer and its rules -> verdicts, and scores of them all
annotation  problems -> what GitHub and SARIF show beside the lines
replay      rows and a share -> how many rows to replay
invocation  a Stage -> the words and the configuration file of its command
reach       a plan -> what it lets others do here and elsewhere
loading     the JSON of an adapter or a model -> why mlx-lm could not load it
rules       a stage of a plan -> what MLX would do with it
figure      a figure of a run as people read it
space       what a stage will leave on the disk
forecast    a training -> epochs, updates, and back to iters
script      a Plan -> bash
commands    a Plan -> its commands for programs
suite       the text of a NAME.test.yaml -> its cases
trial       a case and its recipe -> what does not hold
explain     origins of values -> what a person reads, and JSON
diff        a Plan and another -> what changes in what MLX will be told
review      differences of recipes -> what a person reads, and JSON
comment     differences of recipes -> a pull request's comment and annotations
arithmetic  the text of $(( )) -> its number
quoting     the text of one word of bash -> its parts
shell       a bash script -> its commands
expansion   a script's variables and a word -> the word with its values
arguments   the words of a command -> a tool's parameters, as its own parser reads them
settings    the text of a -c file -> what mlx-lm makes of it
mention     a script's text -> the commands of mlx-lm that it names
files       the files of a script -> the text of a -c file, or why it is not known
program     the words of a command -> the tool they start
fitting     a command's parameters -> a stage that refers to earlier ones
adoption    the commands of a script -> stages
unread      adopted stages -> the same without what mlx-lm never reads
concession  adopted stages -> the same with leave to do what a rule refuses and the script does
writing     adopted stages -> the text of a recipe
resolved    a Plan -> a recipe that says everything
audit       planned against seen
drift       the catalogue against an installed mlx-lm
health      facts of a machine -> whether it is fit
manifest    what happened in a run
series      what stages measured -> curves
result      a run -> what it came to, for a program
schedule    a Plan and what happened before -> run or skip, each with its cause
failure     how a stage ended -> its class and guidance
remedy      a failure and its stage -> what to change, and to what
telling     what happens in a run, in words
report      a run -> what there is to say about it
comparison  several runs side by side
card        what is published and the run that made it -> the README.md of its repository
outlook     how long a run will go on
example     a parameter's schema -> values to write for it
editor      the catalogue -> recipe.schema.json
reference   the schemas -> the pages of docs/reference
"""
