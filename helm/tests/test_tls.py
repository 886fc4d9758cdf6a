"""TLS of the processes: Secrets, settings, probes, scraping, and mutual TLS between roles."""

import tomllib

import pytest

from chart import ALL, ROLES, SPLIT, Rendered, merged, refusal, render

PUBLIC = {"tls": {"existingSecret": "shop-tls"}}
MUTUAL = {"tls": {"existingSecret": "shop-tls", "roles": {"existingSecret": "shop-role-tls"}}}
INNER = [role for role in ROLES if role != "gateway"]


def settings(rendered: Rendered, role: str) -> dict:
    return tomllib.loads(rendered.settings_text(role))


def folders(rendered: Rendered, role: str) -> dict[str, str]:
    """Where the Secrets of certificates are mounted."""
    volumes = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in rendered.pod(role)["spec"]["volumes"]
        if "secret" in volume and volume["name"].endswith("tls")
    }
    mounts = rendered.container(role)["volumeMounts"]
    found = {m["mountPath"]: volumes[m["name"]] for m in mounts if m["name"] in volumes}
    assert len(found) == len(volumes)
    assert all(m["readOnly"] for m in mounts if m["name"] in volumes)
    return found


def schemes(rendered: Rendered, role: str) -> set[str]:
    container = rendered.container(role)
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    return {container[probe]["httpGet"]["scheme"] for probe in probes}


def test_tls_is_off_without_a_secret():
    rendered = render(SPLIT)
    for role in ROLES:
        of = settings(rendered, role)
        assert "tls" not in of["server"]
        assert "tls" not in of.get("peers", {})
        assert schemes(rendered, role) == {"HTTP"}
        assert folders(rendered, role) == {}


@pytest.mark.parametrize(("base", "role"), [(ALL, "all"), (SPLIT, "gateway")])
def test_the_public_port_uses_the_certificate_of_its_secret(base: dict, role: str):
    rendered = render(merged(base, PUBLIC))
    assert settings(rendered, role)["server"]["tls"] == {
        "certificate_file": "/etc/plugrank-tls/tls.crt",
        "key_file": "/etc/plugrank-tls/tls.key",
    }
    assert folders(rendered, role) == {"/etc/plugrank-tls": "shop-tls"}
    assert schemes(rendered, role) == {"HTTPS"}
    if base is SPLIT:
        assert schemes(rendered, "scoring") == {"HTTP"}


def test_roles_authenticate_with_certificates():
    rendered = render(merged(SPLIT, MUTUAL))
    folder = "/etc/plugrank-role-tls"
    shown = {"certificate_file": f"{folder}/tls.crt", "key_file": f"{folder}/tls.key"}
    for role in ROLES:
        of = settings(rendered, role)
        assert of["peers"]["tls"] == shown | {"ca_file": f"{folder}/ca.crt"}
        urls = [url for key, url in of["peers"].items() if key.endswith("_url")]
        assert all(url.startswith("https://shop-plugrank-") for url in urls)
        assert schemes(rendered, role) == {"HTTPS"}
        assert folders(rendered, role)[folder] == "shop-role-tls"
    assert len([k for k in settings(rendered, "gateway")["peers"] if k.endswith("_url")]) == 4
    for role in INNER:
        assert settings(rendered, role)["server"]["tls"] == shown
        assert "/etc/plugrank-tls" not in folders(rendered, role)
    assert settings(rendered, "gateway")["server"]["tls"]["key_file"] == "/etc/plugrank-tls/tls.key"


def test_prometheus_scrapes_with_the_scheme_of_each_role():
    def endpoint(*layers: dict) -> dict:
        values = merged(SPLIT, {"serviceMonitor": {"enabled": True}}, *layers)
        [monitor] = render(values).kind("ServiceMonitor").values()
        [endpoint] = monitor["spec"]["endpoints"]
        return endpoint

    assert "relabelings" not in endpoint()
    assert "tlsConfig" not in endpoint()
    [relabeling] = endpoint(PUBLIC)["relabelings"]
    assert (relabeling["regex"], relabeling["replacement"]) == ("gateway", "https")
    checked = {"serviceMonitor": {"tlsConfig": {"insecureSkipVerify": False, "serverName": "shop"}}}
    all_of_them = endpoint(MUTUAL, checked)
    assert set(all_of_them["relabelings"][0]["regex"].split("|")) == set(ROLES)
    assert all_of_them["tlsConfig"] == {"insecureSkipVerify": False, "serverName": "shop"}


def test_peer_tls_is_refused_for_one_process():
    assert "tls.roles" in refusal(merged(ALL, {"tls": {"roles": {"existingSecret": "x"}}}))
