"""Owns what differs between two plans, in the operator's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dialplan.plan import Plan


@dataclass(frozen=True, slots=True)
class Diff:
    """Rules by their key (context and name or pattern), settings by their place in the file.

    `moved`: contexts where rules that both plans have stand in another order.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[str, ...]
    settings: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.changed, self.moved, self.settings))

    def lines(self) -> list[str]:
        """One line for each difference."""
        return [
            *(f"+ {key}" for key in self.added),
            *(f"- {key}" for key in self.removed),
            *(f"~ {key}" for key in self.changed),
            *(f"~ {name}: another order" for name in self.moved),
            *(f"~ {place}" for place in self.settings),
        ]


def diff(old: Plan, new: Plan) -> Diff:
    """What `new` does differently."""
    before = {rule.key: rule for rule in old.rules}
    after = {rule.key: rule for rule in new.rules}
    moved = []
    for name in old.contexts.keys() & new.contexts.keys():
        kept = [rule.key for rule in old.contexts[name].rules if rule.key in after]
        if kept != [rule.key for rule in new.contexts[name].rules if rule.key in before]:
            moved.append(name)
    places = old.settings.keys() | new.settings.keys()
    return Diff(
        tuple(key for key in after if key not in before),
        tuple(key for key in before if key not in after),
        tuple(key for key in after if key in before and after[key].source != before[key].source),
        tuple(sorted(moved)),
        tuple(sorted(p for p in places if old.settings.get(p) != new.settings.get(p))),
    )
