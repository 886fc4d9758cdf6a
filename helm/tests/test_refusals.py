"""Values that cannot work are refused, and the message names the key."""

import pytest

from chart import ALL, ALL_REDIS, SPLIT, merged, refusal

CHART_SETS = [
    ("server", "bind", "0.0.0.0:1", "use port and bindAddress"),
    ("server", "tls", {"key_file": "/x"}, "use tls.existingSecret"),
    ("peers", "tls", {"ca_file": "/x"}, "use tls.roles.existingSecret"),
    ("access", "auth", "none", "use access.auth"),
    ("access", "keys_file", "/x", "use access.keys"),
    ("peers", "token_file", "/x", "use access.roleToken"),
    ("store", "kind", "redis", "use store.kind"),
    ("store", "path", "/x", "volume"),
    ("store.redis", "url", "redis://x", "Secret"),
    ("store.redis", "cluster_urls", ["redis://x"], "use redis.cluster.urls"),
    ("store.redis", "sentinel_master", "x", "use redis.sentinel.master"),
    ("store.redis", "password", "x", "Secret"),
    ("bundle", "path", "/x", "use bundle.path"),
    ("retrieval.snapshot", "path", "/x", "use snapshots.enabled"),
    ("retrieval.engine.redis", "password", "x", "Secret"),
    ("peers", "scoring_url", "http://x", "Services"),
    ("peers", "embedding_url", "http://x", "Services"),
]


@pytest.mark.parametrize(("section", "key", "value", "why"), CHART_SETS)
def test_settings_owned_by_the_chart_are_refused(section, key, value, why):
    inner: dict = {key: value}
    for name in reversed(section.split(".")):
        inner = {name: inner}
    config = {"config": inner}
    for values, prefix in (
        (config, "config"),
        ({"roles": {"scoring": config}}, "roles.scoring.config"),
        ({"roleDefaults": config}, "roleDefaults.config"),
    ):
        message = refusal(merged(SPLIT, values))
        assert f"{prefix}.{section}.{key} is set by the chart" in message
        assert why in message


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (merged(ALL, {"topology": "split"}), ["store.kind", "one file"]),
        (merged(ALL, {"roles": {"all": {"replicas": 2}}}), ["roles.all.replicas is 2", "one file"]),
        (
            merged(ALL, {"roleDefaults": {"replicas": 4}, "roles": {"all": {"replicas": 4}}}),
            ["roles.all.replicas is 4", "store.kind"],
        ),
        (
            merged(ALL, {"roles": {"all": {"autoscaling": {"enabled": True}}}}),
            ["roles.all.autoscaling.enabled", "one file"],
        ),
        (merged(ALL, {"store": {"kind": "redis"}}), ["redis.existingSecret", "0 are set"]),
        (merged(ALL_REDIS, {"redis": {"url": "redis://x"}}), ["redis.url", "2 are set"]),
        (
            merged(ALL_REDIS, {"redis": {"bundled": {"enabled": True}}}),
            ["redis.bundled.enabled", "2 are set"],
        ),
        (
            merged(ALL_REDIS, {"redis": {"cluster": {"urls": ["redis://a"]}}}),
            ["redis.cluster.urls", "2 are set"],
        ),
        (
            merged(
                ALL_REDIS, {"redis": {"existingSecret": "", "sentinel": {"urls": ["redis://a"]}}}
            ),
            ["redis.sentinel", "urls and master"],
        ),
        (
            merged(ALL_REDIS, {"redis": {"auth": {"username": "u"}}}),
            ["redis.auth.username", "redis.auth.existingSecret"],
        ),
        (
            merged(
                ALL_REDIS,
                {
                    "redis": {
                        "existingSecret": "",
                        "bundled": {"enabled": True},
                        "auth": {"existingSecret": "s"},
                    }
                },
            ),
            ["redis.auth", "redis.bundled.existingSecret"],
        ),
        (
            merged(ALL, {"access": {"auth": "none", "keys": {"existingSecret": "s"}}}),
            ["access.auth is none", "access.keys"],
        ),
        (
            {"store": {"kind": "redis"}, "redis": {"existingSecret": "s"}},
            ["bundle.existingClaim", "0 are set"],
        ),
        (merged(ALL, {"bundle": {"image": {"repository": "r"}}}), ["bundle.image", "2 are set"]),
        (merged(ALL, {"load": {"enabled": True}}), ["load.dataset.existingClaim", "0 are set"]),
        (
            merged(
                SPLIT, {"roles": {"scoring": {"autoscaling": {"enabled": True, "minReplicas": 11}}}}
            ),
            ["roles.scoring.autoscaling.minReplicas is 11", "maxReplicas, 10"],
        ),
        (
            merged(
                SPLIT,
                {"roles": {"scoring": {"autoscaling": {"enabled": True, "cpuUtilization": 0}}}},
            ),
            ["roles.scoring.autoscaling", "nothing to go by"],
        ),
        (
            merged(
                SPLIT,
                {"roles": {"gateway": {"autoscaling": {"enabled": True, "queueAgeMs": 5}}}},
            ),
            ["roles.gateway.autoscaling.queueAgeMs", "gateway batches nothing"],
        ),
        (
            merged(
                SPLIT,
                {
                    "roleDefaults": {"resources": {"requests": {"cpu": None}}},
                    "roles": {"gateway": {"autoscaling": {"enabled": True}}},
                },
            ),
            ["roles.gateway.resources.requests.cpu"],
        ),
    ],
)
def test_invalid_combinations_are_refused(values, parts):
    message = refusal(values)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"topolgy": "split"}, "topolgy"),
        ({"topology": "both"}, "/topology"),
        ({"store": {"kind": "postgres"}}, "/store/kind"),
        ({"config": {"server": {"port": 1}}}, "'/config/server': additional properties 'port'"),
        ({"config": {"sever": {}}}, "sever"),
        ({"config": {"server": {"workers": "two"}}}, "/config/server/workers"),
        ({"config": {"retrieval": {"ann": {"links": 3}}}}, "links"),
        ({"roles": {"ranker": {}}}, "ranker"),
        ({"roles": {"scoring": {"replica": 3}}}, "replica"),
        ({"roles": {"scoring": {"replicas": -1}}}, "/roles/scoring/replicas"),
        ({"roles": {"scoring": {"config": {"scoring": {"batch": 3}}}}}, "batch"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"bundle": {"path": "/etc"}}, "/bundle/path"),
        ({"bundle": {"path": "../etc"}}, "/bundle/path"),
        ({"bundle": {"sizeLimit": "much"}}, "/bundle/sizeLimit"),
        ({"port": 80}, "/port"),
        ({"bindAddress": "::"}, "/bindAddress"),
        ({"redis": {"url": "http://x"}}, "/redis/url"),
        ({"redis": {"cluster": {"urls": ["redis://u:p@x:1"]}}}, "/redis/cluster/urls/0"),
        ({"drain": {"preStopSleepSeconds": -1}}, "/drain/preStopSleepSeconds"),
        ({"networkPolicy": {"prometheus": []}}, "/networkPolicy/prometheus"),
        ({"alerts": {"latency": {"seconds": 0.06}}}, "/alerts/latency/seconds"),
        ({"alerts": {"availability": {"objective": 1}}}, "/alerts/availability/objective"),
        ({"alerts": {"enabled": "yes"}}, "/alerts/enabled"),
        ({"store": {"persistence": {"accessModes": ["ReadWriteMany"]}}}, "accessModes"),
    ],
)
def test_invalid_values_are_refused_by_the_schema(values, where):
    assert where in refusal(merged(SPLIT, values))


def test_unsupported_kubernetes_versions_are_refused():
    assert "1.30" in refusal(ALL, "--kube-version", "1.29.0")
