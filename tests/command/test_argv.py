"""How a value travels as words of a command."""

from runner.catalog.tools import Tool
from runner.command.argv import options


def test_a_flag_of_one_letter_and_its_value_are_two_words():
    def parameter(**travel):
        return {"type": "integer", "x-arg": {"emit": "value", **travel}}

    properties = {
        "n": parameter(flag="-n"),
        "most": parameter(flag="--most", apart=True),
        "least": parameter(flag="--least"),
    }
    schema = {"x-tool": {"command": ["head"], "outputs": {}, "metrics": []}}
    tool = Tool(name="mine.head", schema={**schema, "properties": properties})
    words = [*options(tool, {"n": -3, "most": 4, "least": 5})]
    assert words == [("-n", "-3"), ("--most", "4"), ("--least=5",)]
