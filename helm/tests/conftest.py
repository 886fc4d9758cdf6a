"""Each values file of helm/plugrank/ci, rendered once."""

import pathlib

import pytest

from chart import CI_VALUES, Rendered, render


@pytest.fixture(scope="session", params=CI_VALUES, ids=lambda path: path.stem)
def values_file(request: pytest.FixtureRequest) -> pathlib.Path:
    return request.param


@pytest.fixture(scope="session")
def rendered(values_file: pathlib.Path) -> Rendered:
    return render({}, file=values_file)
