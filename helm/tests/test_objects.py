"""Properties of every rendering, for all values files."""

import kubernetes_validate
import pytest

from chart import CHART, RELEASE, Rendered, component, matches, run

# The oldest release of Chart.yaml, and the newest whose schemas are available.
KUBERNETES = ["1.30", "1.37"]
# Of the Prometheus operator; Kubernetes has no schemas of them.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}


def test_lint(values_file):
    done = run("lint", "--strict", str(CHART), "--values", str(values_file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_for_kubernetes(rendered: Rendered, version: str):
    checked = 0
    for obj in rendered.objects:
        if obj["kind"] in FOREIGN:
            continue
        kubernetes_validate.validate(obj, version, strict=True)
        checked += 1
    assert checked >= 5


def test_the_check_against_kubernetes_can_fail(rendered: Rendered):
    service = next(iter(rendered.kind("Service").values()))
    wrong = service | {"spec": service["spec"] | {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


def test_names_are_unique_and_short(rendered: Rendered):
    names = [(obj["kind"], obj["metadata"]["name"]) for obj in rendered.objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_labels(rendered: Rendered):
    for obj in rendered.objects:
        labels = obj["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE, obj["metadata"]["name"]
        assert labels["app.kubernetes.io/name"] == "plugrank"
        assert labels["helm.sh/chart"].startswith("plugrank-")


def test_workloads_select_their_own_pods_only(rendered: Rendered):
    workloads = rendered.workloads()
    pods = {name: rendered.pod(name)["metadata"]["labels"] for name in workloads}
    for name, workload in workloads.items():
        if workload["kind"] == "Job":
            continue
        selector = workload["spec"]["selector"]["matchLabels"]
        assert [pod for pod, labels in pods.items() if matches(selector, labels)] == [name]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_selectors_match_the_pods_of_their_component(rendered: Rendered, kind: str):
    pods = {name: rendered.pod(name)["metadata"]["labels"] for name in rendered.workloads()}
    for obj in rendered.kind(kind).values():
        spec = obj["spec"]
        chosen = spec.get("podSelector") or spec["selector"]
        selector = chosen.get("matchLabels", chosen)
        assert [pod for pod, labels in pods.items() if matches(selector, labels)] == [
            component(obj)
        ]


def test_service_ports_exist_in_the_pods(rendered: Rendered):
    for service in rendered.kind("Service").values():
        ports = {port["name"] for port in rendered.container(component(service))["ports"]}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports


def test_containers_are_confined(rendered: Rendered):
    for name in rendered.workloads():
        spec = rendered.pod(name)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"] + spec.get("initContainers", []):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, (name, container["name"])
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_mounts_and_volumes_agree(rendered: Rendered):
    for name, workload in rendered.workloads().items():
        spec = rendered.pod(name)["spec"]
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = [v["name"] for v in spec["volumes"]] + [c["metadata"]["name"] for c in claims]
        assert len(volumes) == len(set(volumes))
        used = set()
        for container in spec["containers"] + spec.get("initContainers", []):
            mounts = [mount["name"] for mount in container["volumeMounts"]]
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(paths) == len(set(paths))
            used.update(mounts)
        assert used == set(volumes), name


def test_referenced_objects_exist_or_come_from_the_values(rendered: Rendered):
    """Secrets, ConfigMaps and accounts are made by the chart, or named in the values file."""
    given = {"shop-redis", "redis-login", "shop-keys", "shop-roles", "redis-ca"}
    secrets = rendered.kind("Secret").keys() | given
    for name in rendered.workloads():
        spec = rendered.pod(name)["spec"]
        assert spec["serviceAccountName"] in rendered.kind("ServiceAccount")
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in rendered.kind("ConfigMap")
            for source in volume.get("projected", {}).get("sources", []):
                assert source["secret"]["name"] in secrets
        for container in spec["containers"] + spec.get("initContainers", []):
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    assert variable["valueFrom"]["secretKeyRef"]["name"] in secrets


def test_service_monitors_select_the_roles_services(rendered: Rendered):
    monitors = rendered.kind("ServiceMonitor")
    for monitor in monitors.values():
        selector = monitor["spec"]["selector"]
        [among] = selector["matchExpressions"]
        found = [
            component(service)
            for service in rendered.kind("Service").values()
            if matches(selector["matchLabels"], service["metadata"]["labels"])
            and service["metadata"]["labels"][among["key"]] in among["values"]
        ]
        assert sorted(found) == sorted(set(rendered.workloads()) - {"redis", "load"})
        [endpoint] = monitor["spec"]["endpoints"]
        assert endpoint["port"] == "http"
        assert endpoint["path"] == "/metrics"
