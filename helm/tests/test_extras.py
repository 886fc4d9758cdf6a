"""Extension points of the chart (labels, volumes, containers, paths); a release without values."""

import kubernetes_validate

from chart import ALL, CHART, RELEASE, SPLIT, merged, render, run

MORE = {
    "envFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    "sidecars": [{"name": "proxy", "image": "proxy:1"}],
}


def test_without_values_the_shop_of_the_image_is_served_by_one_pod():
    rendered = render({})
    assert list(rendered.workloads()) == ["all"]
    pod = rendered.pod("all")["spec"]
    assert 'path = "/usr/local/share/plugrank/simshop/bundle"' in rendered.settings_text("all")
    [load] = pod["initContainers"]
    assert "/usr/local/share/plugrank/simshop/dataset" in load["args"]
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "tmp", "access"}
    for obj in rendered.objects:
        kubernetes_validate.validate(obj, "1.30", strict=True)
    done = run("install", RELEASE, str(CHART), "--dry-run=client")
    assert "the simulated shop of the image" in done.stdout


def test_pods_take_extra_labels_volumes_and_containers():
    for values, roles in ((ALL, ["all"]), (SPLIT, ["gateway", "scoring"])):
        rendered = render(merged(values, {"roleDefaults": MORE}))
        for role in roles:
            spec = rendered.pod(role)["spec"]
            ours, proxy = spec["containers"]
            assert proxy == MORE["sidecars"][0]
            assert ours["envFrom"] == MORE["envFrom"]
            assert MORE["extraVolumeMounts"][0] in ours["volumeMounts"]
            assert MORE["extraVolumes"][0] in spec["volumes"]


def test_common_labels_are_on_every_object_and_in_no_selector():
    rendered = render(merged(SPLIT, {"commonLabels": {"team": "ranking"}}))
    for obj in rendered.objects:
        assert obj["metadata"]["labels"]["team"] == "ranking", obj["metadata"]["name"]
    for name, workload in rendered.workloads().items():
        assert rendered.pod(name)["metadata"]["labels"]["team"] == "ranking"
        assert "team" not in workload["spec"].get("selector", {}).get("matchLabels", {})


def test_the_update_strategy_comes_from_the_values():
    split = render(merged(SPLIT, {"roles": {"gateway": {"updateStrategy": {"type": "Recreate"}}}}))
    workloads = split.workloads()
    assert workloads["gateway"]["spec"]["strategy"] == {"type": "Recreate"}
    assert workloads["scoring"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    one = render(merged(ALL, {"roles": {"all": {"updateStrategy": {"type": "OnDelete"}}}}))
    assert one.workloads()["all"]["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_helm_test_ranks():
    for values, service in ((ALL, "shop-plugrank"), (SPLIT, "shop-plugrank")):
        pod = render(values).kind("Pod")["shop-plugrank-test"]
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        [container] = pod["spec"]["containers"]
        assert container["args"][-1] == f"http://{service}:80"
        key = container["env"][0]["valueFrom"]["secretKeyRef"]
        assert key == {"name": "shop-plugrank-access", "key": "admin-key"}
    # Of the user's own keys the chart has digests only.
    named = render(merged(ALL, {"access": {"keys": {"existingSecret": "keys"}}}))
    assert named.kind("Pod") == {}


def test_the_chart_has_icon_and_readme():
    done = run("show", "chart", str(CHART))
    assert "icon: data:image/svg+xml;base64," in done.stdout
    assert "helm test shop" in run("show", "readme", str(CHART)).stdout
