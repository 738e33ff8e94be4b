"""Every name that Headgate writes into a cluster, once.

Changing a value here changes the product's contract with clusters that already run it.
"""

from enum import StrEnum
from typing import Final

DOMAIN: Final = "headgate.dev"

# Labels.
NAMESPACE_LABEL: Final = f"{DOMAIN}/canary"
NAMESPACE_ENABLED: Final = "enabled"
NAMESPACE_UNMANAGED: Final = "unmanaged"
"""Nothing is done there, and nothing that a run has left is taken back."""
TARGET_LABEL: Final = f"{DOMAIN}/target"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "headgate"

# Annotations on the target that only the webhook and the analyzer write.
HOLD: Final = f"{DOMAIN}/hold"
"""Hash of the candidate that is held; present if and only if the pause is Headgate's."""
STABLE: Final = f"{DOMAIN}/stable"
"""Hash of the template that serves while a candidate is held or rolls."""
PROMOTING: Final = f"{DOMAIN}/promoting"
"""Hash of the candidate whose native rollout is under way."""
REFUSED: Final = f"{DOMAIN}/refused"
"""Hash of the candidate that was refused last."""
REFUSED_WHY: Final = f"{DOMAIN}/refused-why"
"""One sentence: why that candidate was refused."""
REQUESTED_BY: Final = f"{DOMAIN}/requested-by"
"""Who wrote the command annotation, as the API server authenticated them."""
SEEN: Final = f"{DOMAIN}/seen"
"""Hash of the template that a target without a Canary had when it was looked at last."""
NOTE: Final = f"{DOMAIN}/note"
"""What the webhook has to say of a Deployment that was created, until it is in an event."""
INTERNAL_ANNOTATIONS: Final = (
    HOLD,
    STABLE,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    SEEN,
    NOTE,
)

HOLD_UNKNOWN: Final = "unknown"
"""Value of HOLD when a write was held that could not be read, or whose template was not known."""
TEMPLATES_POLICY: Final = "headgate-templates"
"""Name of the policy that refuses the analyzer a write by which another template would roll."""

# Annotations on the target that people write.
OPT_OUT: Final = NAMESPACE_LABEL
OPT_OUT_VALUE: Final = "disabled"


class Command(StrEnum):
    """What people can ask for by an annotation on the target."""

    PROMOTE = f"{DOMAIN}/promote"
    ABORT = f"{DOMAIN}/abort"
    RETRY = f"{DOMAIN}/retry"
    PAUSE = f"{DOMAIN}/pause"
    APPROVE = f"{DOMAIN}/approve"


COMMANDS: Final = frozenset(Command)

CANDIDATE: Final = f"{DOMAIN}/candidate"
"""On the canary Deployment: hash of the target's template that it was made from."""

# On ReplicaSets of a target that are kept out of its Deployment controller's choice.
PARKED: Final = f"{DOMAIN}/parked"
"""Label: uid of the Deployment that a parked ReplicaSet belongs to."""
PARKED_FROM: Final = f"{DOMAIN}/parked-from"
"""Annotation: what was changed to park it, as JSON: the Deployment's name, the labels before."""

# On Jobs that a load tester makes.
LOAD_TEST: Final = f"{DOMAIN}/load-test"
"""Label of the Job and its pods: the template that it was made from."""
LOAD_TEST_OF: Final = f"{DOMAIN}/load-test-of"
"""Annotation: the canary whose hook asked for it, as name.namespace."""
# On a canary's pods, where its traffic is a share by their number.
JOINED: Final = f"{DOMAIN}/joined"
"""Label: name of the team's Service that sends them requests; they wear what it selects by."""
JOINS: Final = f"{DOMAIN}/joins"
"""Annotation: by which labels they join it, and what these are otherwise, as JSON."""

# Annotations on routes and on Canary objects.
SPLIT: Final = f"{DOMAIN}/split"
"""The splits on a route, as JSON: of each target both Services and its share in percent."""
BESIDE: Final = f"{DOMAIN}/beside"
"""On an Ingress that was made for a canary: name of the team's Ingress that it stands beside."""
ON_NO_DATA: Final = f"{DOMAIN}/on-no-data"
"""On a Canary: hold, fail, or pass, when a metric has had no value for ON_NO_DATA_AFTER."""
ON_NO_DATA_AFTER: Final = f"{DOMAIN}/on-no-data-after"
FAILURES_COUNT: Final = f"{DOMAIN}/failed-checks"
"""On a Canary: consecutive (default) or cumulative, as Flagger counts."""
EVIDENCE: Final = f"{DOMAIN}/evidence"
"""On a Canary: on (default) or off."""
EVIDENCE_ALPHA: Final = f"{DOMAIN}/evidence-alpha"
"""On a Canary: chance in percent that a healthy candidate is refused in its whole run."""
EVIDENCE_BETA: Final = f"{DOMAIN}/evidence-beta"
PROMOTION_GATE: Final = f"{DOMAIN}/promotion-gate"
"""On a Canary: none (default) or non-inferiority."""
ERROR_BUDGET: Final = f"{DOMAIN}/error-budget"
"""On a Canary: how many bad answers one more step may cost at worst; no limit without it."""
DECIDE_WITHIN: Final = f"{DOMAIN}/decide-within"
ON_INCONCLUSIVE: Final = f"{DOMAIN}/on-inconclusive"
"""On a Canary: hold (default), rollback or promote, when DECIDE_WITHIN has passed."""
BAKE: Final = f"{DOMAIN}/bake"
"""On a Canary: how long the candidate is judged at weight 100 before it is promoted."""
RECORDED_WINDOW: Final = f"{DOMAIN}/recorded-window"
"""On a Canary: how far back series look that recording rules have made (5m)."""
SHARE_BY_PODS: Final = f"{DOMAIN}/share-by-pods"
"""On a Canary: on or off (default): where no route leads to its Service, its pods share it."""
CANARY_ANNOTATIONS: Final = (
    ON_NO_DATA,
    ON_NO_DATA_AFTER,
    FAILURES_COUNT,
    EVIDENCE,
    EVIDENCE_ALPHA,
    EVIDENCE_BETA,
    PROMOTION_GATE,
    ERROR_BUDGET,
    DECIDE_WITHIN,
    ON_INCONCLUSIVE,
    BAKE,
    RECORDED_WINDOW,
    SHARE_BY_PODS,
)
"""All that is read on a Canary."""
AUTO_LABEL: Final = f"{DOMAIN}/created-from"
AUTO_VALUE: Final = "defaults"

# Keys of a template that change no behaviour that a canary could judge.
IGNORED_TEMPLATE_ANNOTATIONS: Final = ("kubectl.kubernetes.io/restartedAt",)
POD_TEMPLATE_HASH: Final = "pod-template-hash"
SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"

CANARY_SUFFIX: Final = "-canary"
SELECTOR_KEYS: Final = ("app", "name", "app.kubernetes.io/name")
"""Keys of which one gets a `-canary` value, in the order in which Flagger looks for them."""

FLAGGER_GROUP: Final = "flagger.app"
FLAGGER_KIND: Final = "Canary"
"""Owner of what a Flagger beside us makes: its `-primary` Deployments."""

FIELD_MANAGER: Final = "headgate"
SYSTEM_NAMESPACE: Final = "headgate-system"
ANALYZER_USER: Final = f"system:serviceaccount:{SYSTEM_NAMESPACE}:headgate-analyzer"


class Reason(StrEnum):
    """CamelCase reasons: the same word in condition, event, log line and metric label."""

    INITIALIZED = "Initialized"
    HELD = "Held"
    WAITING_FOR_CANARY = "WaitingForCanary"
    PRE_ROLLOUT = "PreRolloutPending"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    APPROVED = "Approved"
    NOTHING_TO_APPROVE = "NothingToApprove"
    GATE_PASSED = "GatePassed"
    ROLLBACK_HOOK = "RollbackHookInvoked"
    WAITING_FOR_HOOK = "WaitingForHook"
    QUEUED = "WaitingForPlace"
    LOOKS_BACK = "WaitingForOwnSamples"
    POST_ROLLOUT_FAILED = "PostRolloutHookFailed"
    ADVANCED = "Advanced"
    CHECK_FAILED = "CheckFailed"
    SHARED_INCIDENT = "SharedIncident"
    NO_DATA = "NoData"
    PODS_LOST = "PodsLost"
    STABLE_SHRUNK = "StableShrunk"
    STABLE_NOT_READY = "StableNotReady"
    CLUSTER_INCIDENT = "ClusterIncident"
    PROGRESS_DEADLINE = "ProgressDeadlineExceeded"
    INCONCLUSIVE = "Inconclusive"
    BAKING = "Baking"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    WRITE_DENIED = "WriteDenied"
    PODS_DENIED = "PodsDenied"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    REFUSED = "Refused"
    SCALED_TO_ZERO = "ScaledToZero"
    ABORTED = "Aborted"
    REVERTED = "Reverted"
    SUPERSEDED = "Superseded"
    UNDOING = "UndoingPromotion"
    INVALID = "InvalidConfiguration"
    IGNORED = "FieldsIgnored"
    UNSUITABLE = "UnsuitableTarget"
    MISFIT = "CanaryNotApart"
    NO_TARGET = "TargetNotFound"
    NO_ROUTE = "NoRoute"
    ROUTE_REFUSED = "RouteRefused"
    ROUTE_DIFFERS = "RouteDiffers"
    GATEWAY_BEHIND = "GatewayBehind"
    NO_ENDPOINT = "NoReadyEndpoint"
    MADE_AGAIN = "MadeAgain"
    EXCLUSIVE = "PodsInTheWay"
    FOREWARNED = "LeftBehind"
    UNCLEAR = "QueryUnclear"
    RELEASED = "Released"
    UNGATED = "UngatedUpdate"
    COPIED = "CreatedFromCopy"
    TAKEN_OVER = "TakenOver"
    NOT_FOLLOWED = "EditNotFollowed"
    FLAGGER = "FlaggerAtWork"
    CREATED_ANEW = "CreatedAnew"
    LEFTOVER = "LeftoverSplitRemoved"
    LEFTOVERS = "LeftoversRemoved"
    TAKEN = "NameTaken"
    RIVAL = "AnotherCanaryInForce"
    ALERT_NOT_SENT = "AlertNotSent"
    EVENT_NOT_TOLD = "EventHookNotTold"
