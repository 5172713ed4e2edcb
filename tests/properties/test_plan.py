"""The planner on random trees: carrying out a plan makes the next one empty, and nothing is ever lost.

The three sides are made by varying one tree, so that equal names are the rule. Carrying out is a model
of what upload, download and publish promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sidecar.plan import Compare, Download, RemoteFile, Upload, plan_egress, plan_ingress
from sidecar.tree import Agreed, ETag, Fingerprint, LocalEntry, RelativePath

PATHS = ["a", "a-b", "a.b", "b/c", "b/d", "b0"]
Content = str
contents = st.sampled_from(["v1", "v2", "v3"])


@dataclass
class World:
    """Both sides, what was agreed, and every content that anybody but us has written."""

    local: dict[str, tuple[Content, Fingerprint]] = field(default_factory=dict)
    remote: dict[str, Content] = field(default_factory=dict)
    agreed: dict[str, Agreed] = field(default_factory=dict)
    tick: int = 0

    def write(self, path: str, content: Content) -> None:
        self.tick += 1
        self.local[path] = (content, Fingerprint(len(content), self.tick, self.tick, self.tick))

    def touch(self, path: str) -> None:
        """chmod: only the ctime moves."""
        self.tick += 1
        content, seen = self.local[path]
        self.local[path] = (content, Fingerprint(seen.size, seen.mtime_ns, self.tick, seen.inode))

    def entries(self) -> list[LocalEntry]:
        return [LocalEntry(RelativePath(path), seen) for path, (_, seen) in sorted(self.local.items())]

    def rows(self) -> list[Agreed]:
        return [row for _, row in sorted(self.agreed.items())]

    def listing(self) -> list[RemoteFile]:
        return [
            RemoteFile(RelativePath(path), len(body), ETag(body), 0.0) for path, body in sorted(self.remote.items())
        ]

    def agree(self, path: str) -> None:
        content, seen = self.local[path]
        body = self.remote[path]
        self.agreed[path] = Agreed(RelativePath(path), seen, content.encode(), ETag(body), len(body))

    def copies(self, content: Content) -> int:
        return sum(body == content for body in [*self.remote.values(), *(body for body, _ in self.local.values())])


def carry_out(world: World, action: Upload | Compare | Download) -> None:
    path = action.path
    if isinstance(action, Download):
        if action.local_edited and world.local[path][0] != world.remote[path]:
            world.write(f"{path}.conflict-{world.tick}", world.local[path][0])
        if not action.local_edited or world.local[path][0] != world.remote[path]:
            world.write(path, world.remote[path])
        world.agree(path)
        return
    content = world.local[path][0]
    if isinstance(action, Compare) and action.agreed.sha256 == content.encode():
        seen = world.local[path][1]
        world.agreed[path] = Agreed(path, seen, content.encode(), action.agreed.etag, action.agreed.remote_size)
        return
    there = world.remote.get(path)
    if there is not None and there != content and (path not in world.agreed or world.agreed[path].etag != there):
        world.remote[f"{path}.conflict-{world.tick}"] = there
        world.tick += 1
    world.remote[path] = content
    world.agree(path)


CHANGES = ["nothing", "write", "touch", "delete", "put", "write and put", "delete and put", "remove", "forget"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Each path: a base that was agreed or is on one side only, then a change on either side or both."""
    world = World()
    for path in PATHS:
        base = draw(st.sampled_from(["agreed", "agreed", "local", "remote", "nowhere"]))
        content = draw(contents)
        if base in ("agreed", "local"):
            world.write(path, content)
        if base in ("agreed", "remote"):
            world.remote[path] = content
        if base == "agreed":
            world.agree(path)
        change(world, path, draw(st.sampled_from(CHANGES)), draw(contents), draw(contents))
    return world


def change(world: World, path: str, what: str, one: Content, other: Content) -> None:
    if "write" in what:
        world.write(path, one)
    if "put" in what:
        world.remote[path] = other
    if "delete" in what:
        world.local.pop(path, None)
    if what == "touch" and path in world.local:
        world.touch(path)
    if what == "remove":
        world.remote.pop(path, None)
    if what == "forget":
        world.agreed.pop(path, None)


@given(worlds())
def test_egress_carried_out_leaves_nothing_to_do_and_loses_nothing(world: World) -> None:
    own = {path for path, row in world.agreed.items() if world.remote.get(path) == row.etag}
    foreign = {body for path, body in world.remote.items() if path not in own}
    before = {*foreign, *(content for content, _ in world.local.values())}
    actions = list(plan_egress(world.entries(), world.rows(), world.listing(), now=0))
    assert [action.path for action in actions] == sorted(action.path for action in actions)
    for action in actions:
        carry_out(world, action)
    assert list(plan_egress(world.entries(), world.rows(), world.listing(), now=0)) == []
    assert list(plan_egress(world.entries(), world.rows(), None, now=0)) == []
    assert all(world.copies(body) for body in before)
    for path, (content, _) in world.local.items():
        assert world.remote[path] == content


@given(worlds())
def test_ingress_carried_out_leaves_nothing_to_do_and_loses_nothing(world: World) -> None:
    unedited = {
        path
        for path, (content, _) in world.local.items()
        if path in world.agreed and world.agreed[path].sha256 == content.encode()
    }
    mine = {content for path, (content, _) in world.local.items() if path not in unedited}
    before = {*world.remote.values(), *mine}
    edited = {
        path
        for path, (content, _) in world.local.items()
        if path in world.agreed and world.agreed[path].sha256 != content.encode()
    }
    still = {path for path in world.agreed if world.remote.get(path) == world.agreed[path].etag}
    for action in list(plan_ingress(world.entries(), world.rows(), world.listing())):
        assert isinstance(action, (Download, Compare))
        carry_out(world, action)
    assert list(plan_ingress(world.entries(), world.rows(), world.listing())) == []
    assert all(world.copies(body) for body in before)
    for path, body in world.remote.items():
        assert path in world.local
        if path not in edited & still:
            assert world.local[path][0] == body


@given(worlds())
def test_an_ordinary_cycle_plans_nothing_for_what_did_not_change(world: World) -> None:
    changed = {
        path for path, (_, seen) in world.local.items() if path not in world.agreed or world.agreed[path].local != seen
    }
    planned = {action.path for action in plan_egress(world.entries(), world.rows(), None, now=0)}
    assert planned == changed


@given(worlds())
def test_an_empty_side_never_means_deleted(world: World) -> None:
    assert list(plan_egress([], world.rows(), world.listing(), now=0)) == []
    assert list(plan_ingress(world.entries(), world.rows(), [])) == []


@given(worlds())
def test_without_restore_a_deleted_file_comes_only_with_a_new_version(world: World) -> None:
    for action in plan_ingress(world.entries(), world.rows(), world.listing(), restore=False):
        if isinstance(action, Download) and action.local is None and action.agreed is not None:
            assert action.agreed.etag != action.remote.etag
