"""values.schema.json is what schema.py makes, and describes values.yaml whole."""

import jsonschema
import yaml

from chart import CHART
from schema import SCHEMA, default_settings, schema, text


def test_the_committed_file_is_up_to_date():
    assert SCHEMA.read_text() == text(), "run: python3 helm/tests/schema.py"


def test_the_schema_is_valid_json_schema():
    jsonschema.Draft7Validator.check_schema(schema())


def described(values: dict, properties: dict, prefix: str = "") -> list[str]:
    missing = []
    for key, value in values.items():
        if key not in properties:
            missing.append(prefix + key)
            continue
        node = properties[key]
        if "$ref" in node:
            node = schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
        if isinstance(value, dict) and "properties" in node:
            missing += described(value, node["properties"], f"{prefix}{key}.")
    return missing


def test_every_value_is_described_and_every_description_has_a_value():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    properties = schema()["properties"]
    assert described(values, properties) == []
    assert properties.keys() - values.keys() == {"global"}


def test_settings_without_a_default_are_in_the_schema():
    settings = default_settings()
    assert "workers" in settings["server"]
    assert "otlp_endpoint" in settings["telemetry"]
    assert "url" in settings["store"]["redis"]
