"""The settings files: valid, right for each role, and part of the pods' checksum annotation."""

import os
import subprocess
import tomllib
from urllib.parse import urlsplit

import pytest

from chart import ALL, ALL_REDIS, ROLES, SPLIT, Rendered, component, env, merged, render
from live import program
from schema import default_settings

CALLS = {
    "gateway": {"retrieval", "embedding", "scoring", "reranking"},
    "retrieval": {"embedding"},
    "embedding": set(),
    "scoring": {"embedding"},
    "reranking": {"embedding"},
}


def roles(rendered: Rendered) -> list[str]:
    return [role for role in rendered.workloads() if role in [*ROLES, "all"]]


def settings(rendered: Rendered, role: str) -> dict:
    return tomllib.loads(rendered.settings_text(role))


def unknown(of: dict, known: dict, prefix: str = "") -> list[str]:
    found = []
    for key, value in of.items():
        if key not in known:
            found.append(prefix + key)
        elif isinstance(value, dict):
            found += unknown(value, known[key], f"{prefix}{key}.")
    return found


def test_every_key_is_a_setting_of_the_program(rendered: Rendered):
    for role in roles(rendered):
        assert unknown(settings(rendered, role), default_settings()) == []


@pytest.mark.skipif(program() is None, reason="no plugrank binary: set PLUGRANK or build one")
def test_the_program_accepts_the_settings(rendered: Rendered, tmp_path):
    for role in roles(rendered):
        file = tmp_path / f"{role}.toml"
        file.write_text(rendered.settings_text(role))
        variables = {"PATH": os.environ["PATH"]}
        if "PLUGRANK__STORE__REDIS__URL" in env(rendered.container(role)):
            variables["PLUGRANK__STORE__REDIS__URL"] = "redis://:password@host:6379/0"
        if "PLUGRANK__STORE__REDIS__PASSWORD" in env(rendered.container(role)):
            variables["PLUGRANK__STORE__REDIS__PASSWORD"] = "password"
        done = subprocess.run(
            [program(), "settings", "--config", file],
            env=variables,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, f"{role}: {done.stderr}"
        in_force = tomllib.loads(done.stdout)
        for section, keys in settings(rendered, role).items():
            for key, value in keys.items():
                if not isinstance(value, dict):
                    # The program takes one address as a list of one.
                    assert in_force[section][key] in (value, [value]), f"{section}.{key}"


def test_numbers_lists_and_texts_are_rendered_unchanged():
    given = {
        "server": {"max_body_bytes": 4194304, "max_item_bytes": 67108864},
        "scoring": {"candidate_buckets": [32, 4096], "batch_rows": 1048576},
        "reranking": {"lambda": 0.25},
        "retrieval": {"shares": {"ann": 0.125}, "ann": {"connectivity": 24}},
        "embedding": {"encode_on_miss": False},
        "telemetry": {"log_level": 'info,plugrank="debug" <&> \\ é'},
    }
    rendered = render(merged(ALL, {"config": given}))
    read = settings(rendered, "all")
    for section, keys in given.items():
        for key, value in keys.items():
            if isinstance(value, dict):
                assert value.items() <= read[section][key].items()
            else:
                assert read[section][key] == value
                assert type(read[section][key]) is type(value)


def test_each_role_has_the_urls_of_its_peers():
    rendered = render(SPLIT)
    services = rendered.kind("Service")
    for role in ROLES:
        called = set()
        urls = settings(rendered, role)["peers"]
        urls.pop("token_file")
        for key, url in urls.items():
            address = urlsplit(url)
            service = services[address.hostname]
            assert address.port in [port["port"] for port in service["spec"]["ports"]]
            assert key == f"{component(service)}_url"
            called.add(component(service))
        assert called == CALLS[role]
        assert role not in called


def test_one_process_has_no_peers():
    assert "peers" not in settings(render(ALL), "all")


@pytest.mark.parametrize(("values", "headless"), [({}, True), ({"headless": False}, False)])
def test_inner_services_may_resolve_to_the_pods_themselves(values, headless):
    rendered = render(merged(SPLIT, {"internalServices": values, "port": 9090}))
    for service in rendered.kind("Service").values():
        if component(service) == "gateway":
            continue
        assert (service["spec"].get("clusterIP") == "None") == headless
        # Without a cluster address nothing translates ports: they must be the pods' own.
        [port] = service["spec"]["ports"]
        [own] = rendered.container(component(service))["ports"]
        assert port["port"] == own["containerPort"]


@pytest.mark.parametrize(("address", "bound"), [("0.0.0.0", "0.0.0.0:9000"), ("[::]", "[::]:9000")])
def test_the_port_is_the_one_listened_on(address, bound):
    rendered = render(merged(SPLIT, {"port": 9000, "bindAddress": address}))
    for role in ROLES:
        assert settings(rendered, role)["server"]["bind"] == bound
        [port] = rendered.container(role)["ports"]
        assert port["containerPort"] == 9000


def test_settings_of_a_role_override_common_ones():
    values = {
        "config": {"server": {"workers": 3}, "budget": {"default_ms": 40}},
        "roles": {"scoring": {"config": {"server": {"workers": 1}}}},
    }
    rendered = render(merged(SPLIT, values))
    assert settings(rendered, "scoring")["server"]["workers"] == 1
    assert settings(rendered, "gateway")["server"]["workers"] == 3
    assert settings(rendered, "scoring")["budget"]["default_ms"] == 40


def checksums(values: dict) -> dict[str, str]:
    rendered = render(values)
    return {
        role: rendered.pod(role)["metadata"]["annotations"]["checksum/config"]
        for role in roles(rendered)
    }


def test_changed_settings_restart_only_the_affected_roles():
    before = checksums(SPLIT)
    assert checksums(SPLIT) == before
    of_all = checksums(merged(SPLIT, {"config": {"budget": {"default_ms": 41}}}))
    assert all(of_all[role] != before[role] for role in ROLES)
    own = {"roles": {"scoring": {"config": {"scoring": {"batch_rows": 4096}}}}}
    of_one = checksums(merged(SPLIT, own))
    assert {role for role in ROLES if of_one[role] != before[role]} == {"scoring"}
    # Values that are no settings restart no pod.
    assert checksums(merged(SPLIT, {"service": {"port": 81}})) == before


def test_a_changed_redis_address_restarts_every_role():
    def annotations(url):
        redis = {"redis": {"existingSecret": "", "url": url}}
        rendered = render(merged(SPLIT, redis))
        return {role: rendered.pod(role)["metadata"]["annotations"] for role in ROLES}

    before, after = annotations("redis://a:6379/0"), annotations("redis://b:6379/0")
    assert all(before[role] != after[role] for role in ROLES)


def test_redis_addresses_are_in_secrets_only():
    url = "redis://plugrank:hush@redis.example.com:6379/0"
    rendered = render(merged(SPLIT, {"redis": {"existingSecret": "", "url": url}}))
    [secret] = [s for s in rendered.kind("Secret").values() if "stringData" in s]
    assert secret["stringData"] == {"redis-url": url}
    others = [obj for obj in rendered.objects if obj["kind"] != "Secret"]
    assert "hush" not in str(others)
    for role in ROLES:
        reference = env(rendered.container(role))["PLUGRANK__STORE__REDIS__URL"]["valueFrom"]
        named = {"name": secret["metadata"]["name"], "key": "redis-url"}
        assert reference["secretKeyRef"] == named


def test_the_default_memory_limit_covers_the_default_caches():
    """A limit below the caches that the defaults fill would end in kills for memory."""
    defaults = default_settings()
    cache = {
        "all": defaults["embedding"]["memory_mb"]
        + defaults["store"]["embedded"]["page_cache_mb"]
        + defaults["store"]["embedded"]["user_cache_mb"],
        "embedding": defaults["embedding"]["memory_mb"],
    }
    for values, role in ((ALL, "all"), (SPLIT, "embedding")):
        limit = render(values).container(role)["resources"]["limits"]["memory"]
        assert limit.endswith("Gi")
        assert int(limit[:-2]) * 1024 >= 2 * cache[role]


CLUSTER = {
    "redis": {"existingSecret": "", "cluster": {"urls": ["redis://a:7000", "redis://b:7001"]}}
}
SENTINEL = {
    "redis": {
        "existingSecret": "",
        "sentinel": {"urls": ["rediss://a:26379"], "master": "shop"},
        "auth": {"username": "plugrank", "existingSecret": "redis-login"},
        "ca": {"existingSecret": "redis-ca", "secretKey": "ca.pem"},
    }
}


def test_a_redis_cluster_is_configured_by_its_nodes():
    rendered = render(merged(SPLIT, CLUSTER))
    for role in ROLES:
        store = settings(rendered, role)["store"]
        nodes = ["redis://a:7000", "redis://b:7001"]
        assert store == {"kind": "redis", "redis": {"cluster_urls": nodes}}
        assert not [name for name in env(rendered.container(role)) if "REDIS" in name]


def test_sentinel_credentials_stay_in_their_secret():
    rendered = render(merged(SPLIT, SENTINEL))
    for role in ROLES:
        store = settings(rendered, role)["store"]["redis"]
        assert store["sentinel_urls"] == ["rediss://a:26379"]
        assert store["sentinel_master"] == "shop"
        assert store["username"] == "plugrank"
        variable = env(rendered.container(role))["PLUGRANK__STORE__REDIS__PASSWORD"]
        wanted = {"name": "redis-login", "key": "password"}
        assert variable["valueFrom"]["secretKeyRef"] == wanted
        # The file named in the settings is the Secret's key, where it is mounted.
        volumes = {v["name"]: v for v in rendered.pod(role)["spec"]["volumes"]}
        [mount] = [
            m
            for m in rendered.container(role)["volumeMounts"]
            if volumes[m["name"]].get("secret") == {"secretName": "redis-ca"}
        ]
        assert store["ca_file"] == f"{mount['mountPath']}/ca.pem"
        assert mount["readOnly"] is True


def test_retrieval_has_a_snapshot_volume_with_a_shared_store():
    for values, role in [(SPLIT, "retrieval"), (ALL_REDIS, "all")]:
        rendered = render(values)
        path = settings(rendered, role)["retrieval"]["snapshot"]["path"]
        mounts = {mount["mountPath"]: mount for mount in rendered.container(role)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in rendered.pod(role)["spec"]["volumes"]}
        assert volumes[mounts[path]["name"]]["emptyDir"] == {"sizeLimit": "20Gi"}
        assert "readOnly" not in mounts[path]
    gateway = render(SPLIT)
    assert "snapshot" not in settings(gateway, "gateway").get("retrieval", {})
    assert "snapshots" not in {v["name"] for v in gateway.pod("gateway")["spec"]["volumes"]}
    assert "snapshot" not in settings(render(ALL), "all").get("retrieval", {})
    claimed = render(merged(SPLIT, {"snapshots": {"existingClaim": "shared"}}))
    volumes = {volume["name"]: volume for volume in claimed.pod("retrieval")["spec"]["volumes"]}
    assert volumes["snapshots"]["persistentVolumeClaim"] == {"claimName": "shared"}
    without = render(merged(SPLIT, {"snapshots": {"enabled": False}}))
    assert "snapshot" not in settings(without, "retrieval").get("retrieval", {})
