"""Maps of well-known click logs, by the name that `layout` of a log.toml takes; any key of it can be overridden."""

from __future__ import annotations

from typing import Any

CRITEO_NUMBERS = [f"I{number}" for number in range(1, 14)]
CRITEO_CATEGORIES = [f"C{number}" for number in range(1, 27)]
AVAZU_SITE = ["site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"]
AVAZU_AD = ["C14", "C15", "C16", "C17", "C18", "C19", "C20", "C21"]

LAYOUTS: dict[str, dict[str, Any]] = {
    # Kaggle's Avazu csv: `C14` is the creative, and a person is known by address and device.
    "avazu": {
        "name": "avazu",
        "log": {"format": "csv"},
        "user_id": ["device_ip", "device_model"],
        "item_id": "C14",
        "timestamp": {"column": "hour", "format": "%y%m%d%H"},
        "label": "click",
        "keep": ["banner_pos", "device_type", "device_conn_type", "C1", *AVAZU_SITE],
        "items": {"features": AVAZU_AD[1:]},
        "users": {"features": ["device_model", "device_type"]},
    },
    # Criteo's display advertising challenge: tab-separated, without names, ids or times. Which columns stand for the
    # ad and for the person the data does not say; what these defaults take can be overridden.
    "criteo": {
        "name": "criteo",
        "log": {"format": "tsv", "names": ["label", *CRITEO_NUMBERS, *CRITEO_CATEGORIES]},
        "user_id": ["C4", "C12"],
        "item_id": ["C3", "C16"],
        "label": "label",
        "keep": CRITEO_CATEGORIES,
        "numbers": CRITEO_NUMBERS,
        "items": {"features": ["C1", "C2", "C6", "C9", "C14", "C17", "C20", "C22", "C23"]},
        "users": {"features": ["C5", "C8"]},
    },
    # Criteo's attribution data set: tab-separated with a header, times in seconds from its start.
    "criteo-attribution": {
        "name": "criteo-attribution",
        "log": {"format": "tsv"},
        "user_id": "uid",
        "item_id": "campaign",
        "timestamp": {"column": "timestamp", "unit": "s"},
        "label": "click",
        # `cpo` and the like are known only where there was a conversion.
        "tasks": {"conversion": "conversion"},
        "numbers": ["cost"],
        "items": {"features": [f"cat{number}" for number in range(1, 10)]},
    },
}
