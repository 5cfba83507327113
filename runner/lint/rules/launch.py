"""Several ranks: what the launcher and the tools make of them."""

from collections.abc import Iterator

from runner.lint.facts import Finding
from runner.lint.rule import View, rule
from runner.plan.launch import ranks


@rule("error")
def batch_size_not_divided_by_ranks(view: View) -> Iterator[Finding]:
    """A batch_size that the ranks cannot share: it counts the rows of all ranks together.

    mlx-lm stops with a ValueError after the model is loaded. Choose a multiple of the ranks.
    """
    count = ranks(view.stage.launch) if view.stage.launch else None
    size = view.params["batch_size"]
    if count and size % count:
        message = f"a batch of {size} cannot be shared by {count} ranks"
        yield Finding(
            parameter="batch_size", message=message, hint=f"say {-(-size // count) * count}"
        )


@rule("error", general=True)
def ring_of_one(view: View) -> Iterator[Finding]:
    """The ring backend with a single rank: it stops at once, with an error about JSON.

    Give two hosts or more, or remove ``launch``.
    """
    launch = view.stage.launch
    if launch and launch["backend"] == "ring" and ranks(launch) == 1:
        message = "a ring needs two ranks or more; with one it stops with an error about JSON"
        yield Finding(parameter="launch", message=message, hint="say hosts: 2, or remove launch")


@rule("error", general=True)
def ring_of_names(view: View) -> Iterator[Finding]:
    """Hosts of the ring backend that are names: it takes IPs only, and stops.

    Write the IPs, or a hostfile that has names to reach the machines and ips for the ring.
    """
    launch = view.stage.launch
    hosts = launch["hosts"] if launch and launch["backend"] == "ring" else []
    names = [host for host in hosts if not _is_ip(host)]
    if names:
        message = f"the ring backend takes IPs, and '{names[0]}' is a name"
        yield Finding(
            parameter="launch", message=message, hint="say its IP, or give a hostfile with ips"
        )


@rule("error", general=True)
def launch_of_one_process_tool(view: View) -> Iterator[Finding]:
    """A launch of a tool that knows nothing of ranks: each rank would do, and write, the same.

    Remove ``launch``: the tool runs once.
    """
    if view.stage.launch and view.tool.alone:
        message = f"{view.stage.tool} knows nothing of ranks: each would write the same files"
        yield Finding(parameter="launch", message=message, hint="remove launch")


def _is_ip(host: str) -> bool:
    import ipaddress  # few recipes name hosts

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
