"""Authentication: the Secrets, their mounts, and what each ingress exposes."""

import base64
import hashlib
import re
import tomllib

from chart import ALL, ALL_REDIS, ROLES, SPLIT, Rendered, merged, render, template


def settings(rendered: Rendered, role: str) -> dict:
    return tomllib.loads(rendered.settings_text(role))


def opened(secret: dict) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def files(rendered: Rendered, role: str) -> dict[str, tuple[str, str]]:
    """File of a role's pods to the Secret and key it comes from."""
    [mount] = [m for m in rendered.container(role)["volumeMounts"] if m["name"] == "access"]
    assert mount["readOnly"] is True
    [volume] = [v for v in rendered.pod(role)["spec"]["volumes"] if v["name"] == "access"]
    found = {}
    for source in volume["projected"]["sources"]:
        for item in source["secret"]["items"]:
            found[f"{mount['mountPath']}/{item['path']}"] = (source["secret"]["name"], item["key"])
    return found


def test_the_chart_makes_a_key_and_pods_get_its_digest_only():
    rendered = render(ALL)
    [secret] = rendered.kind("Secret").values()
    parts = opened(secret)
    key = parts["admin-key"]
    assert re.fullmatch("plugrank_[A-Za-z0-9]{43}", key)
    entry = tomllib.loads(parts["keys.toml"])["admin"]
    assert entry == {"scopes": ["admin"], "sha256": hashlib.sha256(key.encode()).hexdigest()}
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    name = secret["metadata"]["name"]
    assert files(rendered, "all") == {
        settings(rendered, "all")["access"]["keys_file"]: (name, "keys.toml")
    }
    others = [obj for obj in rendered.objects if obj["kind"] != "Secret"]
    assert key not in str(others)


def test_split_roles_share_a_token():
    rendered = render(SPLIT)
    [secret] = rendered.kind("Secret").values()
    assert len(opened(secret)["token"]) >= 32
    for role in ROLES:
        of = settings(rendered, role)
        named = {of["access"]["keys_file"]: "keys.toml", of["peers"]["token_file"]: "token"}
        name = secret["metadata"]["name"]
        assert files(rendered, role) == {path: (name, key) for path, key in named.items()}
    assert "token_file" not in settings(render(ALL), "all").get("peers", {})


def test_existing_secrets_are_used():
    values = {
        "access": {
            "keys": {"existingSecret": "shop-keys", "secretKey": "list"},
            "roleToken": {"existingSecret": "shop-roles", "secretKey": "word"},
        }
    }
    rendered = render(merged(SPLIT, values))
    assert rendered.kind("Secret") == {}
    assert set(files(rendered, "scoring").values()) == {
        ("shop-keys", "list"),
        ("shop-roles", "word"),
    }


def test_disabled_authentication_is_explicit_in_the_settings():
    rendered = render(merged(SPLIT, {"access": {"auth": "none"}}))
    assert rendered.kind("Secret") == {}
    for role in ROLES:
        assert settings(rendered, role)["access"] == {"auth": "none"}
        assert "token_file" not in settings(rendered, role).get("peers", {})
    done = template(
        merged(SPLIT, {"access": {"auth": "none"}}), "--show-only", "templates/settings.yaml"
    )
    assert "etc/plugrank-access" not in done.stdout


def paths(ingress: dict) -> dict[str, list[str]]:
    return {
        rule["host"]: [path["path"] for path in rule["http"]["paths"]]
        for rule in ingress["spec"]["rules"]
    }


def test_reads_and_writes_have_separate_ingresses():
    values = {
        "ingress": {"enabled": True, "hosts": [{"host": "rank.example.com"}]},
        "ingressWrites": {
            "enabled": True,
            "className": "internal",
            "hosts": [{"host": "writes.example.com"}, {"host": "all.example.com", "path": "/v1"}],
        },
    }
    ingresses = render(merged(ALL_REDIS, values)).kind("Ingress")
    reads, writes = ingresses["shop-plugrank"], ingresses["shop-plugrank-writes"]
    assert paths(reads) == {"rank.example.com": ["/v1/rank", "/v1/events"]}
    assert paths(writes) == {
        "writes.example.com": ["/v1/items", "/v1/users", "/v1/experiments", "/v1/models"],
        "all.example.com": ["/v1"],
    }
    assert writes["spec"]["ingressClassName"] == "internal"


def test_prometheus_sends_a_key_where_metrics_require_one():
    values = {
        "config": {"access": {"metrics": "key"}},
        "serviceMonitor": {"enabled": True, "key": {"existingSecret": "metrics-key"}},
    }
    [monitor] = render(merged(SPLIT, values)).kind("ServiceMonitor").values()
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "metrics-key", "key": "key"}
