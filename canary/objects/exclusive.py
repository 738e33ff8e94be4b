"""What only one pod may have at a time, so that the canary's pods keep it from the target's.

The new pods of a promotion need it while the canary still has it: a port of the node, or a volume
that one pod alone may use.
"""

from collections.abc import Iterable

from canary.model.values import Json

READ_WRITE_ONCE_POD = "ReadWriteOncePod"


def claims_of(target: Json) -> tuple[str, ...]:
    """Return the names of the PersistentVolumeClaims that a Deployment's pods share."""
    volumes = target["spec"]["template"]["spec"].get("volumes") or ()
    found = (one.get("persistentVolumeClaim") or {} for one in volumes)
    return tuple(sorted({one["claimName"] for one in found if one}))


def in_the_way(target: Json, claims: Iterable[Json]) -> str:
    """Return what the canary's pods keep from the target's, in words; "" where there is nothing.

    Args:
        target: the Deployment the team owns.
        claims: the PersistentVolumeClaims that its pods share, as far as they are there.

    """
    ports = [f"hostPort {port}" for port in _host_ports(target)]
    volumes = [
        f"volume claim {claim['metadata']['name']} ({READ_WRITE_ONCE_POD})"
        for claim in claims
        if READ_WRITE_ONCE_POD in (claim["spec"].get("accessModes") or ())
    ]
    return ", ".join((*ports, *sorted(volumes)))


def _host_ports(target: Json) -> list[int]:
    pod = target["spec"]["template"]["spec"]
    containers = (*pod["containers"], *(pod.get("initContainers") or ()))
    return sorted(
        {
            port["hostPort"]
            for one in containers
            for port in one.get("ports") or ()
            if port.get("hostPort")
        }
    )
