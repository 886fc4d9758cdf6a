"""Names the platform that the program in the wheel was built for."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PlatformTag(BuildHookInterface[Any]):
    """One wheel a platform, whatever the Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- the hook's signature
        """Sets the tag before the wheel is written."""
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['PLUGRANK_PLATFORM']}"
