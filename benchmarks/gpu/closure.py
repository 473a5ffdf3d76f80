"""What packages need, and what that needs, by the metadata of those installed here.

pip's own resolver would have to see the wheels of PyTorch and CUDA, which are left out.
"""

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import Distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(
    requirements: Sequence[str], path: Sequence[str], *, python: str, there: Collection[str]
) -> Mapping[str, str]:
    """Names and versions of the requirements and of all that they depend on.

    Args:
        requirements: as in pyproject.toml.
        path: where installed packages are looked for, the first place first.
        python: version that the wheels are for, such as "3.12".
        there: packages to leave out, with what only they need.

    Raises:
        LookupError: one is not installed here.
    """
    installed = _installed(path)
    left_out = {canonicalize_name(name) for name in there}
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ones = [Requirement(each) for each in requirements]
    while open_ones:
        wanted = open_ones.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if name in left_out or (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in installed:
            raise LookupError(f"{name} is not installed here. Run `make bench-quick` once.")
        found[name] = installed[name].version
        open_ones += [
            needed
            for needed in map(Requirement, installed[name].requires or ())
            if _applies(needed, extras, python)
        ]
    return found


def _installed(path: Sequence[str]) -> Mapping[str, Distribution]:
    found: dict[str, Distribution] = {}
    for each in distributions(path=list(path)):
        found.setdefault(canonicalize_name(each.metadata["Name"]), each)
    return found


def _applies(requirement: Requirement, extras: Collection[str], python: str) -> bool:
    """Whether it is needed for that Python with one of the extras, or with none."""
    marker = requirement.marker
    latest = f"{python}.99"  # backports are for its first patch releases
    environment = {"python_version": python, "python_full_version": latest}
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
    )
