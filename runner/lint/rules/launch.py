"""Several ranks: what the launcher and the tools can do with them."""

from collections.abc import Iterator

from runner.lint.facts import Finding
from runner.lint.rule import View, rule
from runner.plan.launch import ranks


@rule("error")
def batch_size_not_divided_by_ranks(view: View) -> Iterator[Finding]:
    """A batch_size that cannot be split across the ranks: it is the total over all ranks.

    mlx-lm fails with a ValueError after the model is loaded. Choose a multiple of the ranks.
    """
    count = ranks(view.stage.launch) if view.stage.launch else None
    size = view.params["batch_size"]
    if count and size % count:
        message = f"a batch of {size} cannot be split evenly across {count} ranks"
        yield Finding(
            parameter="batch_size", message=message, hint=f"use {-(-size // count) * count}"
        )


@rule("error", general=True)
def ring_of_one(view: View) -> Iterator[Finding]:
    """The ring backend with a single rank: it fails at once, with an error about JSON.

    Set two or more hosts, or remove ``launch``.
    """
    launch = view.stage.launch
    if launch and launch["backend"] == "ring" and ranks(launch) == 1:
        message = "a ring needs at least two ranks; with one it fails with an error about JSON"
        yield Finding(parameter="launch", message=message, hint="set hosts: 2, or remove launch")


@rule("error", general=True)
def ring_of_names(view: View) -> Iterator[Finding]:
    """Host names for the ring backend: it accepts only IP addresses, and fails.

    Write the IP addresses, or use a hostfile with names for reaching the machines and ips for the
    ring.
    """
    launch = view.stage.launch
    hosts = launch["hosts"] if launch and launch["backend"] == "ring" else []
    names = [host for host in hosts if not _is_ip(host)]
    if names:
        message = f"the ring backend needs IP addresses, but '{names[0]}' is a name"
        yield Finding(
            parameter="launch",
            message=message,
            hint="write its IP address, or use a hostfile with ips",
        )


@rule("error", general=True)
def launch_of_one_process_tool(view: View) -> Iterator[Finding]:
    """A launch of a tool that does not support ranks: each rank would do and write the same.

    Remove ``launch``: the tool runs once.
    """
    if view.stage.launch and view.tool.alone:
        message = (
            f"{view.stage.tool} does not support multiple ranks: each would write the same files"
        )
        yield Finding(parameter="launch", message=message, hint="remove launch")


def _is_ip(host: str) -> bool:
    import ipaddress  # few recipes name hosts

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
