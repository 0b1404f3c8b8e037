"""A completed initiate, node by node: what was given, what it ended as, what was tried."""

from __future__ import annotations

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import StateCall, depth_first, is_new, siblings
from tb.monitors.contract.trace import Node, Tree


class Walked:
    """A completed initiate: the tree as it was given, with the statuses and contexts of its end."""

    def __init__(self, call: StateCall, now: Tree) -> None:
        self.call = call
        self.given = call.tree
        self.now = now
        self.nodes = list(depth_first(call.tree))
        self.root = call.tree.nodes[call.tree.root]
        self._dead: set[int] = set()
        """Nodes below a failed one, or behind a failed root."""
        for node, parent in self.nodes:
            before = self.root if parent is None else parent
            if node is not before and (before.ident in self._dead or self.failed(before)):
                self._dead.add(node.ident)

    def status(self, node: Node) -> int | None:
        """Status at the end."""
        end = self.now.nodes.get(node.ident)
        return None if end is None else end.status

    def context(self, node: Node) -> int | None:
        """What the location of a node holds at the end."""
        end = self.now.nodes.get(node.ident)
        return None if end is None else end.context

    def offloaded(self, node: Node) -> bool:
        """The status says that the object is offloaded (or was: a linker; or is none: a placeholder)."""
        return self.status(node) in ndis.OFFLOADED

    def failed(self, node: Node) -> bool:
        """A new offload that did not come about."""
        return is_new(node) and not self.offloaded(node) and not self.context(node)

    def attempted(self, node: Node) -> bool:
        """No failure before it kept the node from being tried."""
        return is_new(node) and node.ident not in self._dead

    def below(self, node: Node) -> list[Node]:
        """All dependents, of every layer."""
        found: list[Node] = []
        waiting = siblings(self.given, node.dependents)
        while waiting:
            found += waiting
            waiting = [deeper for one in waiting for deeper in siblings(self.given, one.dependents)]
        return found

    def untried(self, node: Node) -> bool:
        """The node ended as one that was not attempted: FAILURE and no context; placeholders do not count."""
        return node.location is None or (
            self.status(node) == ndis.FAILURE and not (is_new(node) and self.context(node))
        )
