"""Makes helm/plugrank/values.schema.json.

The part about `config` comes from the program, so a key that the program does not know is refused
before anything is deployed; `cargo xtask settings` writes it. This script writes the rest:

    python3 helm/tests/schema.py

`test_schema.py` fails while the committed file is behind.
"""

from __future__ import annotations

import json
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULTS = ROOT / "docs/defaults.toml"
SCHEMA = ROOT / "helm/plugrank/values.schema.json"

# A setting without a default is commented out, as `# key = value`.
ABSENT = re.compile(r"^# ([a-z_]+ = .+)$")


def default_settings() -> dict:
    """Every setting with its default, or with the example of one that has none."""
    lines = DEFAULTS.read_text().splitlines()
    return tomllib.loads("\n".join(ABSENT.sub(r"\1", line) for line in lines))


def settings_schema() -> dict:
    """Schema of the settings, as `cargo xtask settings` wrote it."""
    return json.loads(SCHEMA.read_text())["$defs"]["settings"]


def obj(properties: dict, **more: object) -> dict:
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def ref(name: str) -> dict:
    return {"$ref": f"#/$defs/{name}"}


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
# Kubernetes' own types: checked by Kubernetes, not described again here.
FREE = {"type": "object"}
LIST = {"type": "array"}
OBJECTS = {"type": "array", "items": {"type": "object"}}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
DIGEST = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
PULL = {"enum": ["Always", "IfNotPresent", "Never"]}
QUANTITY = {
    "type": ["string", "integer"],
    "pattern": "^[0-9]+(\\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$",
}
SECRET_KEY = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}
# They stand in a ConfigMap: no user, no password.
REDIS_NODES = {
    "type": "array",
    "items": {"type": "string", "pattern": "^rediss?://[^@/]+(:[0-9]+)?$"},
}
ENABLED = {"enum": ["auto", True, False]}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
OBJECTIVE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
# Bounds of the histogram, so that the objective is counted and not interpolated.
LATENCY_BOUNDS = [0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5]
# Within a volume: neither absolute nor climbing out of it.
SEGMENT = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
INNER_PATH = {"type": "string", "pattern": f"^({SEGMENT}(/{SEGMENT})*/?)?$"}
FOLDER = {"type": "string", "pattern": "^/"}


def schema() -> dict:
    """The whole schema."""
    settings = settings_schema()
    role = obj(
        {
            "replicas": COUNT,
            "resources": obj({"requests": FREE, "limits": FREE, "claims": LIST}),
            "config": ref("settings"),
            "autoscaling": obj(
                {
                    "enabled": FLAG,
                    "minReplicas": {"type": "integer", "minimum": 1},
                    "maxReplicas": {"type": "integer", "minimum": 1},
                    "cpuUtilization": COUNT,
                    "queueAgeMs": COUNT,
                    "metrics": OBJECTS,
                    "behavior": FREE,
                }
            ),
            "podDisruptionBudget": obj(
                {"enabled": FLAG, "maxUnavailable": {"type": ["integer", "string"]}}
            ),
            "spread": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
            "nodeSelector": STRINGS,
            "tolerations": OBJECTS,
            "affinity": FREE,
            "priorityClassName": TEXT,
            "podAnnotations": STRINGS,
            "podLabels": STRINGS,
            "extraEnv": OBJECTS,
            "envFrom": OBJECTS,
            "extraVolumes": OBJECTS,
            "extraVolumeMounts": OBJECTS,
            "sidecars": OBJECTS,
            "updateStrategy": FREE,
        }
    )
    ingress = obj(
        {
            "enabled": FLAG,
            "className": TEXT,
            "annotations": STRINGS,
            "paths": {"type": "array", "items": FOLDER, "minItems": 1},
            "hosts": {
                "type": "array",
                "items": obj({"host": TEXT, "path": FOLDER}, required=["host"]),
            },
            "tls": OBJECTS,
        }
    )
    image = obj({"repository": TEXT, "tag": TEXT, "digest": DIGEST, "pullPolicy": PULL})
    source = {
        "path": INNER_PATH,
        "image": ref("image"),
        "sourcePath": FOLDER,
        "sizeLimit": QUANTITY,
        "existingClaim": TEXT,
    }
    probe = obj(
        {
            key: {"type": "integer", "minimum": 1}
            for key in ("periodSeconds", "timeoutSeconds", "failureThreshold")
        }
    )
    properties = {
        "global": FREE,
        "topology": {"enum": ["all", "split"]},
        "commonLabels": STRINGS,
        "nameOverride": TEXT,
        "fullnameOverride": TEXT,
        "image": ref("image"),
        "imagePullSecrets": OBJECTS,
        "gpu": obj(
            {
                "image": obj({"repository": TEXT, "tag": TEXT, "digest": DIGEST}),
                "resource": {"type": "string", "pattern": "^[a-z0-9.-]+/[A-Za-z0-9_.-]+$"},
                "count": {"type": "integer", "minimum": 1},
                "runtimeClassName": TEXT,
                "nodeSelector": STRINGS,
                "tolerations": OBJECTS,
            }
        ),
        "bundle": obj(source),
        "store": obj(
            {
                "kind": {"enum": ["embedded", "redis"]},
                "persistence": obj(
                    {
                        "size": QUANTITY,
                        "storageClass": TEXT,
                        "accessModes": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod"]},
                        },
                        "existingClaim": TEXT,
                    }
                ),
            }
        ),
        "redis": obj(
            {
                "existingSecret": TEXT,
                "secretKey": SECRET_KEY,
                "url": {"type": "string", "pattern": "^(rediss?://.+)?$"},
                "cluster": obj({"urls": REDIS_NODES}),
                "sentinel": obj({"urls": REDIS_NODES, "master": TEXT}),
                "auth": obj({"username": TEXT, "existingSecret": TEXT, "secretKey": SECRET_KEY}),
                "ca": obj({"existingSecret": TEXT, "secretKey": SECRET_KEY}),
                "bundled": obj(
                    {
                        "enabled": FLAG,
                        "image": ref("image"),
                        "existingSecret": TEXT,
                        "appendfsync": {"enum": ["always", "everysec"]},
                        "resources": FREE,
                        "persistence": obj({"size": QUANTITY, "storageClass": TEXT}),
                    }
                ),
            }
        ),
        "snapshots": obj({"enabled": FLAG, "sizeLimit": QUANTITY, "existingClaim": TEXT}),
        "config": ref("settings"),
        "drain": obj({"preStopSleepSeconds": COUNT, "marginSeconds": COUNT}),
        "port": {**PORT, "minimum": 1024},
        "bindAddress": {"type": "string", "pattern": "^([0-9.]+|\\[[0-9a-fA-F:.]+\\])$"},
        "service": obj(
            {
                "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                "port": PORT,
                "annotations": STRINGS,
            }
        ),
        "access": obj(
            {
                "auth": {"enum": ["keys", "none"]},
                "keys": obj({"existingSecret": TEXT, "secretKey": SECRET_KEY}),
                "roleToken": obj({"existingSecret": TEXT, "secretKey": SECRET_KEY}),
            }
        ),
        "tls": obj({"existingSecret": TEXT, "roles": obj({"existingSecret": TEXT})}),
        "ingress": ingress,
        "ingressWrites": ingress,
        "roleDefaults": ref("role"),
        "roles": obj(
            {
                name: ref("role")
                for name in ("all", "gateway", "retrieval", "embedding", "scoring", "reranking")
            }
        ),
        "probes": obj(dict.fromkeys(("startup", "readiness", "liveness"), probe)),
        "internalServices": obj({"headless": FLAG}),
        "networkPolicy": obj(
            {
                "enabled": FLAG,
                "clients": OBJECTS,
                # An empty `from` would let anybody in.
                "prometheus": {**OBJECTS, "minItems": 1},
                "dns": obj({"to": OBJECTS, "port": PORT}),
                "redis": obj({"to": OBJECTS, "port": PORT}),
                "vectors": obj({"to": OBJECTS}),
                "otlp": obj({"to": OBJECTS}),
                "openInference": obj({"clients": OBJECTS, "to": OBJECTS}),
            }
        ),
        "dashboard": obj({"enabled": FLAG, "labels": STRINGS, "annotations": STRINGS}),
        "alerts": obj(
            {
                "enabled": ENABLED,
                "labels": STRINGS,
                "latency": obj({"seconds": {"enum": LATENCY_BOUNDS}, "objective": OBJECTIVE}),
                "availability": obj({"objective": OBJECTIVE}),
                "degradedShare": SHARE,
                "rejectedShare": SHARE,
                "missingShare": SHARE,
                "featureDrift": SHARE,
                "eventErrorShare": SHARE,
                "eventInvalidShare": SHARE,
                "batchOldestSeconds": {"type": "number", "exclusiveMinimum": 0},
                "storeReadFailuresPerSecond": {"type": "number", "minimum": 0},
                "notFiniteShare": SHARE,
                "certificateDays": {"type": "integer", "minimum": 2},
                "noTrafficFor": {"type": "string", "pattern": "^[0-9]+(s|m|h|d)$"},
                "severityNames": obj({"page": TEXT, "ticket": TEXT}),
                "severities": STRINGS,
                "runbooks": {"type": "string", "pattern": "^https?://"},
                "calibrationFactor": {"type": "number", "exclusiveMinimum": 1},
            }
        ),
        "serviceMonitor": obj(
            {
                "enabled": ENABLED,
                "interval": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                "labels": STRINGS,
                "key": obj({"existingSecret": TEXT, "secretKey": SECRET_KEY}),
                "tlsConfig": FREE,
            }
        ),
        "load": obj(
            {
                "enabled": FLAG,
                "dataset": obj(source),
                "args": {"type": "array", "items": TEXT},
                "resources": FREE,
            }
        ),
        "serviceAccount": obj({"create": FLAG, "name": TEXT, "annotations": STRINGS}),
        "podSecurityContext": FREE,
        "containerSecurityContext": FREE,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the plugrank chart",
        "$comment": "Made by helm/tests/schema.py and `cargo xtask settings`; do not edit.",
        **obj(properties),
        "$defs": {"settings": settings, "role": role, "image": image},
    }


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text())
    print(f"{SCHEMA.relative_to(ROOT)} is written")
