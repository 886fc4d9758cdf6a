"""Workloads of each topology and option."""

import pytest

from chart import ALL, ALL_REDIS, CHART, RELEASE, ROLES, SPLIT, component, env, merged, render, run

GPU = "nvidia.com/gpu"


def test_all_with_the_embedded_store_is_one_pod_with_a_volume():
    rendered = render(ALL)
    [workload] = rendered.workloads().values()
    assert workload["kind"] == "StatefulSet"
    assert workload["spec"]["replicas"] == 1
    [claim] = workload["spec"]["volumeClaimTemplates"]
    mounts = {m["name"]: m["mountPath"] for m in rendered.container("all")["volumeMounts"]}
    path = rendered.settings_text("all").split('path = "/var')[1].split('"')[0]
    assert f"/var{path}".startswith(mounts[claim["metadata"]["name"]] + "/")
    assert workload["spec"]["serviceName"] in rendered.kind("Service")
    # A disruption budget for one replica would only block node drains.
    assert not rendered.kind("PodDisruptionBudget")


def test_an_existing_volume_is_used_in_place_of_a_new_one():
    rendered = render(merged(ALL, {"store": {"persistence": {"existingClaim": "mine"}}}))
    assert "volumeClaimTemplates" not in rendered.workloads()["all"]["spec"]
    volumes = {v["name"]: v for v in rendered.pod("all")["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "mine"


def test_all_with_redis_is_a_deployment_of_any_size():
    rendered = render(merged(ALL_REDIS, {"roles": {"all": {"replicas": 3}}}))
    [workload] = rendered.workloads().values()
    assert (workload["kind"], workload["spec"]["replicas"]) == ("Deployment", 3)
    assert "data" not in {v["name"] for v in rendered.pod("all")["spec"]["volumes"]}


def test_split_has_a_deployment_service_and_budget_per_role():
    rendered = render(SPLIT)
    assert sorted(rendered.workloads()) == sorted(ROLES)
    assert {w["kind"] for w in rendered.workloads().values()} == {"Deployment"}
    for kind in ("Service", "PodDisruptionBudget", "ConfigMap", "NetworkPolicy"):
        assert sorted(map(component, rendered.kind(kind).values())) == sorted(ROLES), kind


@pytest.mark.parametrize("role", ROLES)
def test_each_pod_has_its_role_and_settings_path(role):
    rendered = render(SPLIT)
    container = rendered.container(role)
    assert container["args"] == ["serve", "--config", "/etc/plugrank/plugrank.toml", "--role", role]
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    assert mounts["config"]["mountPath"] == "/etc/plugrank"


def test_the_public_address_is_the_same_in_both_topologies():
    for values in (ALL, SPLIT):
        [ingress] = (
            render(merged(values, {"ingress": {"enabled": True, "hosts": [{"host": "a.example"}]}}))
            .kind("Ingress")
            .values()
        )
        [rule] = ingress["spec"]["rules"]
        assert rule["http"]["paths"][0]["backend"]["service"]["name"] == f"{RELEASE}-plugrank"
    public = render(SPLIT).kind("Service")[f"{RELEASE}-plugrank"]
    assert component(public) == "gateway"


def test_only_roles_that_run_graphs_have_the_bundle():
    rendered = render(SPLIT)
    have = {
        role
        for role in ROLES
        if "bundle" in {m["name"] for m in rendered.container(role)["volumeMounts"]}
    }
    assert have == {"embedding", "scoring"}
    assert have == {role for role in ROLES if "[bundle]" in rendered.settings_text(role)}


def test_a_bundle_image_is_copied_to_the_configured_path():
    values = {
        "bundle": {
            "path": "v2",
            "sourcePath": "/models/",
            "image": {"repository": "r/b", "digest": "sha256:" + "a" * 64},
        }
    }
    rendered = render(values)
    [copy] = rendered.pod("all")["spec"]["initContainers"]
    assert copy["image"] == "r/b@sha256:" + "a" * 64
    assert copy["command"] == ["cp", "-R", "/models/.", "/copy/"]
    assert 'path = "/bundle/v2"' in rendered.settings_text("all")
    mounts = {m["name"]: m for m in rendered.container("all")["volumeMounts"]}
    assert mounts["bundle"] == {"name": "bundle", "mountPath": "/bundle", "readOnly": True}


@pytest.mark.parametrize(
    ("server", "sleep", "seconds"),
    [
        ({}, 5, 5 + 0 + 10 + 5),
        ({"drain_delay_ms": 1500, "grace_ms": 5001}, 10, 10 + 2 + 6 + 5),
        ({"drain_delay_ms": 600000, "grace_ms": 0}, 0, 0 + 600 + 0 + 5),
    ],
)
def test_the_grace_period_covers_the_shutdown_time(server, sleep, seconds):
    values = {"config": {"server": server}, "drain": {"preStopSleepSeconds": sleep}}
    rendered = render(merged(SPLIT, values))
    for role in ROLES:
        assert rendered.pod(role)["spec"]["terminationGracePeriodSeconds"] == seconds
        lifecycle = rendered.container(role).get("lifecycle")
        assert lifecycle == ({"preStop": {"sleep": {"seconds": sleep}}} if sleep else None)


def test_a_role_can_have_a_longer_drain_time():
    own = {"roles": {"gateway": {"config": {"server": {"drain_delay_ms": 7000}}}}}
    rendered = render(merged(SPLIT, own))
    seconds = {r: rendered.pod(r)["spec"]["terminationGracePeriodSeconds"] for r in ROLES}
    assert seconds["gateway"] == 27
    assert seconds["scoring"] == 20


def test_probes():
    rendered = render(SPLIT)
    for role in ROLES:
        container = rendered.container(role)
        paths = {k: container[f"{k}Probe"]["httpGet"] for k in ("startup", "readiness", "liveness")}
        assert paths["readiness"] == {"path": "/readyz", "port": "http", "scheme": "HTTP"}
        assert (
            paths["startup"]
            == paths["liveness"]
            == {"path": "/healthz", "port": "http", "scheme": "HTTP"}
        )
        # The process itself gives a check one second.
        assert container["readinessProbe"]["timeoutSeconds"] > 1


def test_pods_spread_over_zones_and_nodes_by_role():
    rendered = render(SPLIT)
    for role in ROLES:
        constraints = rendered.pod(role)["spec"]["topologySpreadConstraints"]
        keys = [c["topologyKey"] for c in constraints]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        own = rendered.workloads()[role]["spec"]["selector"]["matchLabels"]
        assert all(c["labelSelector"]["matchLabels"] == own for c in constraints)


def test_autoscaled_deployments_have_no_replica_count():
    scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 6, "cpuUtilization": 55}
    rendered = render(merged(SPLIT, {"roles": {"scoring": {"autoscaling": scaling}}}))
    [scaler] = rendered.kind("HorizontalPodAutoscaler").values()
    target = scaler["spec"]["scaleTargetRef"]
    deployment = rendered.kind(target["kind"])[target["name"]]
    assert component(deployment) == "scoring"
    assert "replicas" not in deployment["spec"]
    assert rendered.workloads()["gateway"]["spec"]["replicas"] == 2
    [metric] = scaler["spec"]["metrics"]
    cpu = metric["containerResource"]
    assert cpu["container"] == rendered.container("scoring")["name"]
    assert cpu["target"]["averageUtilization"] == 55
    assert "cpu" in rendered.container("scoring")["resources"]["requests"]


def test_custom_metrics_extend_or_replace_cpu():
    age = {
        "type": "Pods",
        "pods": {
            "metric": {"name": "age"},
            "target": {"type": "AverageValue", "averageValue": "5m"},
        },
    }
    for cpu, kinds in ((70, ["ContainerResource", "Pods"]), (0, ["Pods"])):
        scaling = {"enabled": True, "cpuUtilization": cpu, "metrics": [age]}
        rendered = render(merged(SPLIT, {"roles": {"scoring": {"autoscaling": scaling}}}))
        [scaler] = rendered.kind("HorizontalPodAutoscaler").values()
        assert [m["type"] for m in scaler["spec"]["metrics"]] == kinds


def test_autoscaling_by_queue_age_uses_the_metric_of_the_role():
    scaling = {"autoscaling": {"enabled": True, "queueAgeMs": 8, "cpuUtilization": 0}}
    for values, role, batches in (
        (ALL_REDIS, "all", "scoring"),
        (SPLIT, "scoring", "scoring"),
        (SPLIT, "embedding", "embedding"),
    ):
        rendered = render(merged(values, {"roles": {role: scaling}}))
        [scaler] = rendered.kind("HorizontalPodAutoscaler").values()
        [metric] = scaler["spec"]["metrics"]
        assert metric["pods"]["metric"] == {
            "name": "plugrank_batch_oldest_p99_seconds",
            "selector": {"matchLabels": {"role": batches}},
        }
        assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "8m"}


def gpu_roles(rendered, roles):
    on = set()
    for role in roles:
        spec, container = rendered.pod(role)["spec"], rendered.container(role)
        signs = [
            GPU in container["resources"]["limits"],
            spec.get("nodeSelector", {}).get("gpu") == "yes",
            any(t.get("key") == GPU for t in spec.get("tolerations", [])),
            container["image"].endswith("-cuda"),
            "CUDA_CACHE_PATH" in env(container),
        ]
        assert len(set(signs)) == 1, f"{role} is half on a GPU: {signs}"
        if signs[0]:
            on.add(role)
    return on


def test_roles_with_a_gpu_provider_get_a_gpu():
    gpu = {"gpu": {"nodeSelector": {"gpu": "yes"}}}
    cuda = {"config": {"scoring": {"provider": "cuda"}}}
    embedding = {"roles": {"embedding": cuda}}
    assert gpu_roles(render(merged(SPLIT, gpu)), ROLES) == set()
    assert gpu_roles(render(merged(SPLIT, gpu, cuda)), ROLES) == {"scoring"}
    assert gpu_roles(render(merged(SPLIT, gpu, {"roles": {"scoring": cuda}})), ROLES) == {"scoring"}
    assert gpu_roles(render(merged(SPLIT, gpu, cuda, embedding)), ROLES) == {"scoring", "embedding"}
    assert gpu_roles(render(merged(ALL, gpu, cuda)), ["all"]) == {"all"}
    # The encoders stay on the CPU, and so must their settings.
    assert 'provider = "cpu"' in render(merged(SPLIT, gpu, cuda)).settings_text("embedding")


def test_the_number_of_gpus_is_configurable():
    values = {"config": {"scoring": {"provider": "cuda"}}, "gpu": {"count": 2}}
    limits = render(merged(SPLIT, values)).container("scoring")["resources"]["limits"]
    assert limits[GPU] == 2
    assert "memory" in limits


DATASET = {"load": {"enabled": True, "dataset": {"existingClaim": "datasets", "path": "shop"}}}


def test_data_is_loaded_before_the_embedded_store_is_served():
    rendered = render(merged(ALL, DATASET))
    assert list(rendered.workloads()) == ["all"]
    [load] = rendered.pod("all")["spec"]["initContainers"]
    assert load["args"][0] == "load"
    assert load["args"][-1] == "/dataset/shop"
    server = rendered.container("all")
    data = {"name": "data", "mountPath": "/var/lib/plugrank"}
    assert data in load["volumeMounts"]
    assert data in server["volumeMounts"]
    assert load["image"] == server["image"]


def test_the_redis_load_job_is_named_by_its_content():
    names = []
    for change in ({}, {"load": {"args": ["--no-encode"]}}, {"bundle": {"path": "v2"}}):
        rendered = render(merged(SPLIT, DATASET, change))
        job = rendered.workloads()["load"]
        assert job["kind"] == "Job"
        assert env(rendered.container("load")) == env(rendered.container("embedding"))
        names.append(job["metadata"]["name"])
    assert len(set(names)) == 3
    assert names[0] == render(merged(SPLIT, DATASET)).workloads()["load"]["metadata"]["name"]


@pytest.mark.parametrize(
    ("enabled", "api", "made"),
    [("auto", True, 1), ("auto", False, 0), (True, False, 1), (False, True, 0)],
)
def test_a_service_monitor_is_made_where_it_can_be(enabled, api, made):
    arguments = ["--api-versions", "monitoring.coreos.com/v1"] if api else []
    rendered = render(merged(SPLIT, {"serviceMonitor": {"enabled": enabled}}), *arguments)
    assert len(rendered.kind("ServiceMonitor")) == made


def test_the_notes_list_the_next_steps():
    # `helm template` leaves the notes out; a dry run on the client has them.
    for values, expected in (
        (ALL, "one process, store: embedded"),
        (merged(SPLIT, DATASET), "rollout restart deployment shop-plugrank-embedding"),
    ):
        done = run("install", RELEASE, str(CHART), "--dry-run=client", values=values)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout.split("NOTES:")[1]
