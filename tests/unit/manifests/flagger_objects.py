"""Objects that Flagger's schemas accept and reject, each by what is special about it."""

from typing import Any

Json = dict[str, Any]

MAIN_JOB = """
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: error-rate, namespace: prod}
spec:
  provider: {type: prometheus, address: "http://prometheus.monitoring:9090"}
  query: |
    100 - sum(
      rate(http_requests_total{namespace="prod",kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?",status!~"5.."}[1m])
    )
    /
    sum(
      rate(http_requests_total{namespace="prod",kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"}[1m])
    ) * 100
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web, namespace: prod}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  service: {port: 80, targetPort: 8080}
  analysis:
    interval: 1m
    threshold: 3
    maxWeight: 50
    stepWeight: 10
    metrics:
    - {name: error-rate, templateRef: {name: error-rate}, thresholdRange: {max: 1}, interval: 1m}
    - {name: request-duration, thresholdRange: {max: 500}, interval: 1m}
    webhooks:
    - name: load-test
      type: rollout
      url: http://flagger-loadtester.prod/
      timeout: 15s
      metadata: {cmd: "hey -z 1m -q 10 -c 2 http://web-canary.prod:80/"}
"""  # noqa: E501 - as users write it


def canary(*without: str, analysis: Json | None = None, **spec: Any) -> Json:
    """A small Canary, with fields of `spec` and `analysis` set, or left out."""
    base: Json = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "analysis": {"interval": "1m", "threshold": 3, "stepWeight": 10} | (analysis or {}),
        **spec,
    }
    for path in without:
        *parents, last = path.split(".")
        at = base
        for parent in parents:
            at = at[parent]
        del at[last]
    return {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "spec": base}


def service(**fields: Any) -> Json:
    return canary(service={"port": 80, **fields})


def template(**provider: Any) -> Json:
    spec = {"provider": {"type": "prometheus", **provider}, "query": "vector(1)"}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "spec": spec}


def alerts(**spec: Any) -> Json:
    return {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "spec": spec}


def ref(kind: str, **more: Any) -> Json:
    return {"apiVersion": "v1", "kind": kind, "name": "web", **more}


PROVIDERS = [
    "apisix",
    "appmesh",
    "appmesh:v1beta2",
    "contour",
    "gatewayapi:v1",
    "gatewayapi:v1beta1",
    "gloo",
    "istio",
    "knative",
    "kubernetes",
    "kuma",
    "linkerd",
    "nginx",
    "osm",
    "skipper",
    "smi:v1alpha1",
    "smi:v1alpha2",
    "smi:v1alpha3",
    "traefik",
]
METRICS = [
    "prometheus",
    "influxdb",
    "datadog",
    "externalmetrics",
    "stackdriver",
    "cloudwatch",
    "newrelic",
    "graphite",
    "dynatrace",
    "keptn",
    "splunk",
]
HOOKS = [
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "event",
    "rollback",
]
HOOK = {"name": "h", "url": "http://x/"}
EXACT = {"exact": "x"}
AB = {"iterations": 5}

ACCEPTED: dict[str, Json] = {
    # Defaulted to one that leaves all to the admin, where a patch has taken it out.
    "no analysis": canary("analysis"),
    "step weight": canary(),
    "defaults for all": canary("analysis.stepWeight", "analysis.interval", "analysis.threshold"),
    "defaults for the steps": canary("analysis.stepWeight"),
    "step weights": canary("analysis.stepWeight", analysis={"stepWeights": [1, 5, 50.5]}),
    "iterations": canary("analysis.stepWeight", analysis=AB),
    "iterations with a match": canary(
        "analysis.stepWeight",
        analysis={**AB, "match": [{"headers": {"x": {"suffix": "b"}}, "queryParams": {"q": {}}}]},
    ),
    "no service": canary(),
    "service": service(),
    "interval in seconds": canary(analysis={"interval": "10s"}),
    "interval in minutes and seconds": canary(analysis={"interval": "1m30s"}),
    "threshold of 0": canary(analysis={"threshold": 0}),
    "promotion in steps": canary(analysis={"stepWeightPromotion": 20, "maxWeight": 60}),
    "mirror": canary(analysis={"mirror": True, "mirrorWeight": 50}),
    "ready thresholds": canary(
        analysis={"primaryReadyThreshold": 50, "canaryReadyThreshold": 99.5}
    ),
    "target port by name": service(targetPort="http"),
    "target port by number": service(targetPort=8080),
    "suspended": canary(suspend=True, skipAnalysis=True, revertOnDeletion=True),
    "deadline": canary(progressDeadlineSeconds=60, metricsServer="http://prometheus:9090"),
    "scaler with its own replicas": canary(
        autoscalerRef=ref(
            "ScaledObject",
            primaryScalerQueries={"a": "b"},
            primaryScalerReplicas={"minReplicas": 1, "maxReplicas": 9},
        )
    ),
    "ingress": canary(ingressRef=ref("Ingress")),
    "apisix route": canary(routeRef=ref("ApisixRoute")),
    "gloo upstream": canary(upstreamRef=ref("Upstream", namespace="gloo-system")),
    "32 gateways": service(gatewayRefs=[{"name": f"g{n}"} for n in range(32)]),
    "mirror to a service": service(mirror=[{"backendRef": {"name": "m", "port": 80}}]),
    "mirror elsewhere": service(mirror=[{"backendRef": {"name": "m", "kind": "Bucket"}}]),
    "simple load balancer": service(trafficPolicy={"loadBalancer": {"simple": "RANDOM"}}),
    **{
        f"hash by {field}": service(
            trafficPolicy={"loadBalancer": {"consistentHash": {field: value}}}
        )
        for field, value in {
            "httpHeaderName": "x",
            "httpQueryParameterName": "x",
            "useSourceIp": True,
        }.items()
    },
    "match of an A/B test": canary(
        "analysis.stepWeight",
        analysis={**AB, "match": [{"headers": {"x": EXACT}, "sourceLabels": {"app": "x"}}]},
    ),
    "match without a value": service(match=[{"uri": {}}]),
    "metric with bounds": canary(analysis={"metrics": [{"name": "m", "thresholdRange": {}}]}),
    "metric with a query": canary(
        analysis={"metrics": [{"name": "m", "query": "1", "threshold": 1, "interval": "30s"}]}
    ),
    "metric with a template": canary(
        analysis={
            "metrics": [
                {"name": "m", "templateRef": {"name": "t"}, "thresholdRange": {"min": 1, "max": 2}},
                {"name": "n", "templateRef": {"name": "t", "namespace": "n"}}
                | {"templateVariables": {"a": "b"}},
            ]
        }
    ),
    "alert without severity": canary(
        analysis={"alerts": [{"name": "a", "providerRef": {"name": "p", "namespace": "n"}}]}
    ),
    "hook without type": canary(analysis={"webhooks": [HOOK]}),
    "hook with all": canary(
        analysis={
            "webhooks": [
                HOOK
                | {"timeout": "2m", "retries": 3, "disableTLS": True, "muteAlert": True}
                | {"metadata": {"cmd": "hey"}, "type": ""}
            ]
        }
    ),
    "template with headers and secret": template(
        headers={"X-Scope": ["a", "b"]}, secretRef={"name": "s"}, insecureSkipVerify=True
    ),
    "alerts to an address": alerts(type="slack", address="http://x/", channel="c", username="u"),
    "alerts by a secret": alerts(type="slack", secretRef={"name": "s"}, proxy="http://p/"),
    "200 metrics, hooks and alerts": canary(
        analysis={
            "metrics": [{"name": f"m{n}", "query": "vector(1)"} for n in range(200)],
            "webhooks": [{**HOOK, "name": f"h{n}"} for n in range(200)],
            "alerts": [{"name": f"a{n}", "providerRef": {"name": "p"}} for n in range(200)],
        }
    ),
    "a thousand steps and hosts": canary(
        "analysis.stepWeight",
        analysis={"stepWeights": [n / 10 for n in range(1, 1001)]},
        service={"port": 80, "hosts": [f"h{n}.example" for n in range(1000)]},
    ),
    "a query of 64 KiB": canary(analysis={"metrics": [{"name": "m", "query": "q" * 65536}]}),
    "a script of 256 KiB": canary(
        analysis={"webhooks": [{**HOOK, "metadata": {"script": "s" * 262144}}]}
    ),
    **{f"target {kind}": canary(targetRef=ref(kind)) for kind in ("DaemonSet", "Service")},
    **{f"scaler {it}": canary(autoscalerRef=ref(it)) for it in ("HorizontalPodAutoscaler",)},
    **{f"provider {it}": canary(provider=it) for it in PROVIDERS},
    **{f"hook {it}": canary(analysis={"webhooks": [{**HOOK, "type": it}]}) for it in HOOKS},
    **{
        f"severity {it!r}": canary(
            analysis={"alerts": [{"name": "a", "severity": it, "providerRef": {"name": "p"}}]}
        )
        for it in ("", "info", "warn", "error")
    },
    **{
        f"traffic {it}": service(trafficDistribution=it)
        for it in ("PreferClose", "PreferSameZone", "PreferSameNode")
    },
    **{
        f"cookie {it}": canary(analysis={"sessionAffinity": {"cookieName": "c", "sameSite": it}})
        for it in ("Strict", "Lax", "None")
    },
    **{f"metrics of {it}": template(type=it, region="r", address="a") for it in METRICS},
    **{
        f"alerts to {it}": alerts(type=it, address="http://x/")
        for it in ("slack", "msteams", "discord", "rocket", "gchat")
    },
}

REJECTED: dict[str, Json] = {
    "step weight and iterations": canary(analysis=AB),
    "step weight and step weights": canary(analysis={"stepWeights": [1, 2]}),
    "all three": canary(analysis={"stepWeights": [1, 2], **AB}),
    "no interval": canary("analysis.interval"),
    "no threshold": canary("analysis.threshold"),
    "no target": canary("targetRef"),
    "interval in hours": canary(analysis={"interval": "1h"}),
    "interval without unit": canary(analysis={"interval": "60"}),
    "threshold in words": canary(analysis={"threshold": "3"}),
    "unknown field": canary(analysis={"stepWieght": 10}),
    "older name of analysis": canary(canaryAnalysis={}),
    "unknown provider": canary(provider="haproxy"),
    "target StatefulSet": canary(targetRef=ref("StatefulSet")),
    "target without a name": canary("targetRef.name"),
    "scaler of 0": canary(
        autoscalerRef=ref("ScaledObject", primaryScalerReplicas={"minReplicas": 0})
    ),
    "ingress of another kind": canary(ingressRef=ref("HTTPRoute")),
    "service without port": canary(service={"name": "web"}),
    "port as text": canary(service={"port": "80"}),
    "traffic to anywhere": service(trafficDistribution="Anywhere"),
    "33 gateways": service(gatewayRefs=[{"name": f"g{n}"} for n in range(33)]),
    "gateway without a name": service(gatewayRefs=[{"namespace": "n"}]),
    "gateway port of 0": service(gatewayRefs=[{"name": "g", "port": 0}]),
    "match of two kinds": service(match=[{"uri": {"exact": "/", "prefix": "/"}}]),
    "mirror to a service without port": service(mirror=[{"backendRef": {"name": "m"}}]),
    "origin of two kinds": service(corsPolicy={"allowOrigins": [{**EXACT, "regex": "x"}]}),
    "two load balancers": service(
        trafficPolicy={
            "loadBalancer": {"simple": "RANDOM", "consistentHash": {"useSourceIp": True}}
        }
    ),
    "hash of nothing": service(trafficPolicy={"loadBalancer": {"consistentHash": {}}}),
    "header without a value": canary(
        "analysis.stepWeight", analysis={**AB, "match": [{"headers": {"x": {}}}]}
    ),
    "metric without a name": canary(analysis={"metrics": [{"query": "1"}]}),
    "metric interval in hours": canary(analysis={"metrics": [{"name": "m", "interval": "1h"}]}),
    "template without a name": canary(analysis={"metrics": [{"name": "m", "templateRef": {}}]}),
    "alert to nobody": canary(analysis={"alerts": [{"name": "a"}]}),
    "alert for a panic": canary(
        analysis={"alerts": [{"name": "a", "severity": "panic", "providerRef": {"name": "p"}}]}
    ),
    "201 metrics": canary(
        analysis={"metrics": [{"name": f"m{n}", "query": "1"} for n in range(201)]}
    ),
    "201 hooks": canary(analysis={"webhooks": [{**HOOK, "name": f"h{n}"} for n in range(201)]}),
    "a thousand steps and one": canary("analysis.stepWeight", analysis={"stepWeights": [1] * 1001}),
    "a query of more than 64 KiB": canary(
        analysis={"metrics": [{"name": "m", "query": "q" * 65537}]}
    ),
    "a url of more than 8 KiB": canary(
        analysis={"webhooks": [{**HOOK, "url": "http://x/" + "y" * 8192}]}
    ),
    "metadata of a thousand fields and one": canary(
        analysis={"webhooks": [{**HOOK, "metadata": {f"k{n}": "" for n in range(1001)}}]}
    ),
    "a template of more than 64 KiB": {
        **template(),
        "spec": {"provider": {"type": "prometheus"}, "query": "q" * 65537},
    },
    "hook without url": canary(analysis={"webhooks": [{"name": "h"}]}),
    "hook of an unknown type": canary(analysis={"webhooks": [{**HOOK, "type": "rollin"}]}),
    "hook timeout without unit": canary(analysis={"webhooks": [{**HOOK, "timeout": "15"}]}),
    "hook metadata of numbers": canary(analysis={"webhooks": [{**HOOK, "metadata": {"a": 1}}]}),
    "affinity without a cookie": canary(analysis={"sessionAffinity": {"path": "/"}}),
    "cookie for anybody": canary(
        analysis={"sessionAffinity": {"cookieName": "c", "sameSite": "Any"}}
    ),
    "metrics of an unknown type": template(type="zabbix"),
    "metrics header of one value": template(headers={"X-Scope": "a"}),
    "metrics secret without a name": template(secretRef={}),
    "alerts to an address and by a secret": alerts(
        type="slack", address="http://x/", secretRef={"name": "s"}
    ),
    "alerts to nowhere": alerts(type="slack"),
    "alerts to an unknown service": alerts(type="pager", address="http://x/"),
}

STRINGS = {"a": "b"}
HEADERS = {"add": STRINGS, "set": STRINGS, "remove": ["c"]}
EVERY_SERVICE_FIELD: Json = {
    "name": "web",
    "port": 80,
    "portName": "http",
    "targetPort": "http",
    "appProtocol": "http",
    "trafficDistribution": "PreferClose",
    "portDiscovery": True,
    "headless": True,
    "timeout": "1m",
    "backendTimeout": "30s",
    "meshName": "m",
    "backends": ["b"],
    "hosts": ["web.example.com"],
    "gateways": ["istio-system/public"],
    "gatewayRefs": [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "g",
            "namespace": "n",
            "sectionName": "https",
            "port": 443,
        }
    ],
    "delegation": True,
    "match": [
        {
            "name": "m",
            "uri": {"prefix": "/"},
            "scheme": EXACT,
            "method": EXACT,
            "authority": {"regex": ".*"},
            "headers": {"x": EXACT},
            "withoutHeaders": {"x": EXACT},
            "queryParams": {"x": EXACT},
            "ignoreUriCase": True,
            "port": 80,
            "gateways": ["mesh"],
            "sourceLabels": STRINGS,
            "sourceNamespace": "n",
        }
    ],
    "rewrite": {"uri": "/", "authority": "x", "type": "ReplacePrefixMatch"},
    "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
    "headers": {"request": HEADERS, "response": HEADERS},
    "mirror": [
        {"backendRef": {"group": "", "kind": "Service", "name": "m", "namespace": "n", "port": 80}}
    ],
    "corsPolicy": {
        "allowCredentials": True,
        "allowHeaders": ["x"],
        "allowMethods": ["GET"],
        "allowOrigin": ["*"],
        "allowOrigins": [EXACT],
        "exposeHeaders": ["x"],
        "maxAge": "24h",
    },
    "trafficPolicy": {
        "connectionPool": {
            "http": {
                "h2UpgradePolicy": "UPGRADE",
                "http1MaxPendingRequests": 1,
                "http2MaxRequests": 1,
                "idleTimeout": "1s",
                "maxRequestsPerConnection": 1,
                "maxRetries": 1,
            }
        },
        "loadBalancer": {
            "consistentHash": {
                "httpCookie": {"name": "c", "path": "/", "ttl": "1s"},
                "minimumRingSize": 1,
            },
            "localityLbSetting": {
                "enabled": True,
                "distribute": [{"from": "a", "to": {"b": 1}}],
                "failover": [{"from": "a", "to": "b"}],
            },
            "warmupDurationSecs": "1s",
        },
        "outlierDetection": {
            "baseEjectionTime": "1s",
            "consecutive5xxErrors": 1,
            "consecutiveErrors": 1,
            "consecutiveGatewayErrors": 1,
            "consecutiveLocalOriginFailures": 1,
            "interval": "1s",
            "maxEjectionPercent": 1,
            "minHealthPercent": 1,
            "splitExternalLocalOriginErrors": True,
        },
        "tls": {
            "mode": "MUTUAL",
            "caCertificates": "a",
            "clientCertificate": "b",
            "privateKey": "c",
            "sni": "d",
            "subjectAltNames": ["e"],
        },
    },
    "apex": {"labels": STRINGS, "annotations": STRINGS},
    "primary": {"labels": STRINGS, "annotations": STRINGS},
    "canary": {"labels": STRINGS, "annotations": STRINGS},
    "unmanagedMetadata": {"labels": ["a"], "annotations": ["b"]},
}
EVERY_AFFINITY_FIELD: Json = {
    "cookieName": "c",
    "primaryCookieName": "p",
    "domain": "d",
    "httpOnly": True,
    "maxAge": 60,
    "partitioned": True,
    "path": "/",
    "sameSite": "Lax",
    "secure": True,
}
