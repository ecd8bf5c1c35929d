"""What is shipped beside the program: man page, licences, container, and what compose.yaml joins."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import DOCS, ROOT

from tui_feeder import config
from tui_feeder.service.host_names import host_matcher

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
CONTAINERFILE = (ROOT / "Containerfile").read_text().replace("\\\n", " ")


def script(name: str) -> ModuleType:
    """A script of ``docs/`` as a module."""
    spec = spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def image_variables() -> dict[str, str]:
    """What the image sets of the feeder's keys."""
    found = re.findall(r"\b(FEEDER_\w+)=(\S+)", CONTAINERFILE)
    assert found
    return dict(found)


def feeder_config() -> config.Config:
    """The configuration of the feeder in compose.yaml, its ``.env`` filled in."""
    stated = {
        name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", re.sub(r"\$\{\w+:\?.*?\}", "secret", value))
        for name, value in SERVICES["feeder"]["environment"].items()
    }
    loaded = config.load(None, environ=image_variables() | stated)
    # Loopback of a container reaches nobody: the port is published on the host's loopback alone.
    assert [warning.key for warning in loaded.warnings] == ["service.http_host"]
    return loaded.config


def test_the_man_page_is_what_is_made_from_the_commands() -> None:
    assert script("man_page").page() == (DOCS / "feeder-tui.1").read_text(), "python docs/man_page.py"


def test_the_wheel_installs_the_man_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    target = project["tool"]["hatch"]["build"]["targets"]
    assert target["wheel"]["shared-data"] == {"docs/feeder-tui.1": "share/man/man1/feeder-tui.1"}
    assert "docs/feeder-tui.1" in target["sdist"]["include"]  # a wheel is built of an sdist too


def test_every_package_that_is_installed_with_the_program_is_listed_with_its_licence() -> None:
    text = (DOCS / "licences.md").read_text()
    pins = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    pinned = {canonicalize_name(name): version for name, version in pins}
    listed = re.findall(r"^\| ([\w.-]+) \| (\d\S*) \| ([^|]+) \| (\w*) \|$", text, re.M)
    assert {name: version for name, version, _, _ in listed}.items() <= pinned.items()
    assert all(licence not in ("", "not stated") for _, _, licence, _ in listed)
    made = [row for row in script("licences").rows(skip_missing=True) if pinned.get(row[0]) == row[1]]
    assert len(made) > 30
    assert set(made) <= set(listed), "python docs/licences.py"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    offered = {name for name, needs in project["optional-dependencies"].items() if needs and name != "dev"}
    assert set(script("licences").EXTRAS) == offered
    assert f'EXTRAS = "{",".join(script("licences").EXTRAS)}"' in (ROOT / "deploy" / "release.py").read_text()
    wanted = list(project["dependencies"])
    for extra in script("licences").EXTRAS:
        wanted += project["optional-dependencies"][extra]
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    assert names <= {name for name, _, _, _ in listed}


def test_the_image_is_built_of_what_is_there_and_not_ignored() -> None:
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.M)
        for name in shlex.split(line)[:-1]
    ]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in kept), name
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {needed["readme"], *needed["license-files"], "constraints.txt"} <= set(copied)


def test_the_feeder_of_compose_has_a_valid_configuration_that_reaches_its_services() -> None:
    found = feeder_config()
    assert found.kafka.enabled
    assert found.database.enabled
    broker, _, port = found.kafka.bootstrap_servers[0].partition(":")
    assert f"PLAINTEXT://{broker}:{port}" in SERVICES[broker]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    database = SERVICES[found.database.host]["environment"]
    assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == (
        found.database.username, found.database.database,
    )  # fmt: skip
    assert database["POSTGRES_PASSWORD"] == SERVICES["feeder"]["environment"]["FEEDER_DATABASE__PASSWORD"]
    assert found.service.socket == "auto"  # where attach and status look, called inside the container
    storage = str(found.application.storage_path)
    assert any(storage.startswith(mount.split(":")[1]) for mount in SERVICES["feeder"]["volumes"])
    grace = int(SERVICES["feeder"]["stop_grace_period"].rstrip("s"))
    assert grace > found.service.shutdown_timeout_seconds


def test_prometheus_asks_the_feeder_by_a_name_that_it_answers_to() -> None:
    found = feeder_config()
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = scrape[0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in SERVICES
    assert int(port) == found.application.health_server_port
    assert host_matcher(found.service.http_host, found.service.allowed_hosts)(target)
    assert f":{port}/health" in CONTAINERFILE


def test_grafana_finds_the_dashboard_and_the_data_source() -> None:
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"] if mount.startswith("./"))
    assert all((ROOT / place).exists() for place in mounts)
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/dashboards.yml").read_text())["providers"]
    shown = mounts["./docs/grafana.json"]
    assert shown.startswith(provider["options"]["path"])
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/datasource.yml").read_text())["datasources"]
    assert source["url"].removeprefix("http://").split(":")[0] in SERVICES
    (variable,) = [
        one for one in json.loads((DOCS / "grafana.json").read_text())["templating"]["list"]
        if one["type"] == "datasource"
    ]  # fmt: skip
    assert variable["query"] == source["type"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_and_every_port_is_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.search(r":v?\d", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    named = [mount.split(":")[0] for mount in service.get("volumes", ()) if not mount.startswith("./")]
    assert set(named) <= COMPOSE["volumes"].keys()
    wanted = set(re.findall(r"\$\{(\w+)", json.dumps(service)))
    assert wanted <= set(re.findall(r"^(\w+)=", (ROOT / "deploy" / "example.env").read_text(), re.M))
