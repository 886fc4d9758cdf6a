"""Network policies, evaluated here for each connection as a cluster would."""

import pytest

from chart import ALL, ROLES, SPLIT, Rendered, matches, merged, render

PORT, REDIS = 8080, 6379
BUNDLED = {"redis": {"existingSecret": "", "bundled": {"enabled": True}}}
LOAD = {"load": {"enabled": True, "dataset": {"existingClaim": "datasets"}}}
STRANGER = {"app": "stranger"}

EDGES = {
    ("gateway", "retrieval"),
    ("gateway", "embedding"),
    ("gateway", "scoring"),
    ("gateway", "reranking"),
    ("retrieval", "embedding"),
    ("scoring", "embedding"),
    ("reranking", "embedding"),
}


class Network:
    """NetworkPolicies of one namespace, with the semantics of networking.k8s.io/v1."""

    def __init__(self, rendered: Rendered):
        self.policies = list(rendered.kind("NetworkPolicy").values())
        self.pods = {
            name: rendered.pod(name)["metadata"]["labels"] for name in rendered.workloads()
        }
        self.ports = {
            name: {p["name"]: p["containerPort"] for p in rendered.container(name).get("ports", [])}
            for name in self.pods
        }

    def _rules(self, labels: dict, direction: str) -> list[dict] | None:
        """Rules that hold for a pod; None where no policy does, so everything is allowed."""
        holding = [
            policy["spec"]
            for policy in self.policies
            if matches(policy["spec"]["podSelector"]["matchLabels"], labels)
            and direction in policy["spec"]["policyTypes"]
        ]
        if not holding:
            return None
        return [rule for spec in holding for rule in spec.get(direction.lower()) or []]

    def _port(self, rule: dict, port: int, names: dict[str, int], protocol: str) -> bool:
        if "ports" not in rule:
            return True
        return any(
            names.get(entry["port"], entry["port"]) == port and entry["protocol"] == protocol
            for entry in rule["ports"]
        )

    def _peer(self, peers: list[dict] | None, labels: dict | None, namespace: str | None) -> bool:
        if not peers:
            return True
        for peer in peers:
            if "ipBlock" in peer:
                continue
            spaces = peer.get("namespaceSelector")
            if spaces is None and namespace is not None:
                continue
            if spaces is not None:
                name = {"kubernetes.io/metadata.name": namespace}
                if not matches(spaces.get("matchLabels", {}), name):
                    continue
            pods = peer.get("podSelector", {}).get("matchLabels", {})
            if labels is not None and matches(pods, labels):
                return True
        return False

    def enters(self, to: str, port: int, labels: dict, namespace: str | None = None) -> bool:
        rules = self._rules(self.pods[to], "Ingress")
        return rules is None or any(
            self._port(rule, port, self.ports[to], "TCP")
            and self._peer(rule.get("from"), labels, namespace)
            for rule in rules
        )

    def leaves(
        self,
        of: str,
        port: int,
        labels: dict | None,
        namespace: str | None = None,
        protocol: str = "TCP",
    ) -> bool:
        rules = self._rules(self.pods[of], "Egress")
        return rules is None or any(
            self._port(rule, port, {}, protocol) and self._peer(rule.get("to"), labels, namespace)
            for rule in rules
        )

    def connects(self, of: str, to: str, port: int) -> bool:
        return self.leaves(of, port, self.pods[to]) and self.enters(to, port, self.pods[of])


def test_roles_reach_exactly_their_peers():
    net = Network(render(merged(SPLIT, BUNDLED, LOAD)))
    reached = {
        (of, to) for of in net.pods for to in ROLES if of != to and net.connects(of, to, PORT)
    }
    # The gateway's port is the public one: an inner role may not leave for it all the same.
    assert reached == EDGES


def test_roles_with_data_reach_redis_and_redis_reaches_nothing():
    net = Network(render(merged(SPLIT, BUNDLED, LOAD)))
    callers = {of for of in net.pods if of != "redis" and net.connects(of, "redis", REDIS)}
    assert callers == {*ROLES, "load"}
    assert not any(net.leaves("redis", port, net.pods[to]) for to in ROLES for port in (PORT, 53))
    assert not net.enters("redis", REDIS, STRANGER)
    assert not net.enters("redis", REDIS, STRANGER, "elsewhere")


def test_without_a_load_job_its_label_gives_no_access():
    loader = Network(render(merged(SPLIT, BUNDLED, LOAD))).pods["load"]
    assert not Network(render(merged(SPLIT, BUNDLED))).enters("redis", REDIS, loader)


@pytest.mark.parametrize("role", ["retrieval", "embedding", "scoring", "reranking"])
def test_inner_roles_are_closed_to_other_pods(role):
    net = Network(render(SPLIT))
    assert not net.enters(role, PORT, STRANGER)
    assert not net.enters(role, PORT, STRANGER, "monitoring")
    assert not net.enters(role, 1234, net.pods["gateway"])


def test_the_public_port_is_open_to_all_or_to_those_named():
    for values, role in ((SPLIT, "gateway"), (ALL, "all")):
        assert Network(render(values)).enters(role, PORT, STRANGER, "anywhere")
        assert not Network(render(values)).enters(role, 1234, STRANGER, "anywhere")
        shop = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]
        net = Network(render(merged(values, {"networkPolicy": {"clients": shop}})))
        assert net.enters(role, PORT, STRANGER, "shop")
        assert not net.enters(role, PORT, STRANGER, "elsewhere")


def test_prometheus_reaches_every_role_when_scraping_is_enabled():
    for enabled in (True, False):
        net = Network(render(merged(SPLIT, {"serviceMonitor": {"enabled": enabled}})))
        for role in set(ROLES) - {"gateway"}:
            assert net.enters(role, PORT, STRANGER, "monitoring") is enabled
            assert not net.enters(role, PORT, STRANGER, "elsewhere")


def test_dns_is_limited_to_the_cluster_service():
    net = Network(render(merged(SPLIT, LOAD)))
    for pod in net.pods:
        for protocol in ("UDP", "TCP"):
            assert net.leaves(pod, 53, STRANGER, "kube-system", protocol)
            assert not net.leaves(pod, 53, STRANGER, "elsewhere", protocol)


def test_other_egress_is_denied():
    net = Network(render(merged(SPLIT, BUNDLED, LOAD)))
    for pod in net.pods:
        for port in (80, 443, 4318, PORT, REDIS):
            assert not net.leaves(pod, port, None), (pod, port)
            assert not net.leaves(pod, port, STRANGER, "elsewhere"), (pod, port)


@pytest.mark.parametrize(
    ("redis", "port"),
    [
        ({"url": "redis://r.example:7000/1", "existingSecret": ""}, 7000),
        ({"url": "redis://user:pass@r.example", "existingSecret": ""}, 6379),
        ({}, 6379),
    ],
)
def test_an_external_redis_is_reachable(redis, port):
    net = Network(render(merged(SPLIT, {"redis": redis})))
    for role in ROLES:
        assert net.leaves(role, port, None)
        assert not net.leaves(role, port + 1, None)


def test_cluster_nodes_and_sentinels_are_reachable():
    nodes = {"cluster": {"urls": ["redis://a:7000", "rediss://b:7001", "redis://c"]}}
    sentinels = {"sentinel": {"urls": ["redis://a:26379"], "master": "shop"}}
    for redis, ports in ((nodes, {7000, 7001, 6379}), (sentinels, {26379, 6379})):
        net = Network(render(merged(SPLIT, {"redis": {"existingSecret": "", **redis}})))
        for role in ROLES:
            tried = {6379, 7000, 7001, 7002, 26379}
            assert {port for port in tried if net.leaves(role, port, None)} == ports


def test_egress_to_an_external_redis_can_be_restricted():
    where = {"redis": {"to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}], "port": 6380}}
    rendered = render(merged(SPLIT, {"networkPolicy": where}))
    policies = rendered.kind("NetworkPolicy")
    assert policies
    for policy in policies.values():
        [rule] = [
            r for r in policy["spec"]["egress"] if {"protocol": "TCP", "port": 6380} in r["ports"]
        ]
        assert rule["to"] == where["redis"]["to"]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("http://otel:4318", 4318), ("http://otel/v1/traces", 80), ("http://otel:4317/x", 4317)],
)
def test_the_trace_collector_is_reachable(endpoint, port):
    values = {"config": {"telemetry": {"otlp_endpoint": endpoint}}}
    net = Network(render(merged(SPLIT, BUNDLED, LOAD, values)))
    assert all(net.leaves(pod, port, None) for pod in net.pods if pod != "redis")
    assert not net.leaves("redis", port, None)


def test_scoring_reaches_the_remote_model_server():
    url = "http://triton:8000, http://10.0.0.3"
    values = {"config": {"scoring": {"open_inference": {"url": url}}}}
    net = Network(render(merged(SPLIT, BUNDLED, LOAD, values)))
    for port in (8000, 80):
        assert [pod for pod in net.pods if net.leaves(pod, port, None)] == ["scoring"]
    assert Network(render(merged(ALL, values))).leaves("all", 8000, None)
    where = {
        "networkPolicy": {"openInference": {"to": [{"podSelector": {"matchLabels": STRANGER}}]}}
    }
    net = Network(render(merged(SPLIT, BUNDLED, values, where)))
    assert net.leaves("scoring", 8000, STRANGER)
    assert not net.leaves("scoring", 8000, {"app": "another"})


def test_open_inference_is_reachable_for_named_clients():
    client = {"podSelector": {"matchLabels": STRANGER}}
    values = {"networkPolicy": {"openInference": {"clients": [client]}}}
    net = Network(render(merged(SPLIT, BUNDLED, values)))
    assert [pod for pod in net.pods if net.enters(pod, PORT, STRANGER)] == ["gateway", "scoring"]
    assert not net.enters("scoring", PORT, {"app": "another"})


def test_one_process_with_an_embedded_store_has_no_egress():
    net = Network(render(ALL))
    for port in (80, 443, PORT, REDIS):
        assert not net.leaves("all", port, None)


def test_network_policies_can_be_disabled():
    assert not render(merged(SPLIT, BUNDLED, LOAD, {"networkPolicy": {"enabled": False}})).kind(
        "NetworkPolicy"
    )


def test_only_retrieval_reaches_the_vector_engine():
    engine = {"kind": "redis", "redis": {"cluster_urls": ["redis://v-0:7001", "redis://v-1"]}}
    net = Network(render(merged(SPLIT, {"config": {"retrieval": {"engine": engine}}})))
    assert net.leaves("retrieval", 7001, None)
    assert net.leaves("retrieval", 6379, None)
    assert not any(net.leaves(pod, 7001, None) for pod in net.pods if pod != "retrieval")
    unused = {"config": {"retrieval": {"engine": engine | {"kind": "embedded"}}}}
    embedded = Network(render(merged(SPLIT, unused)))
    assert not embedded.leaves("retrieval", 7001, None)
