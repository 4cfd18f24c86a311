"""Checks what needs images of others or a cluster to run, as far as it can be checked without. For `./test packages`.

The chart is linted and rendered by Helm's own engine, and its manifests are compared with the schemas of Kubernetes.
Docker Compose itself reads compose.yaml. hadolint and the parser of Docker read the Dockerfile; its build context is
assembled, and cargo reads the workspace in it. No image is pulled or built, and nothing is installed in a cluster.
Grafana's dashboard is compiled against the types that Grafana publishes; it is not imported. mdBook builds the book, in
which no link is dead.

    python packaging/check.py [SIGNET]

SIGNET is the program, which reads the settings of the chart and of compose.yaml.
"""

import fnmatch
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import dockerfile
import helm_python
import kubernetes_validate
import yaml
from helm_python import chart as helm_chart

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "packaging/helm/signet"
TOOLS = pathlib.Path(sys.executable).parent

# The values that an installation must set.
REQUIRED = {"publicUrl": "https://id.example.com", "secrets": {"name": "signet"}}
# Every optional part of the chart.
EVERYTHING = REQUIRED | {
    "image": {"repository": "registry.example.com/signet", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "settings": "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
    "extraEnv": [{"name": "SIGNET_AUDIT__KEEP", "value": "10d"}],
    "drainSeconds": 30,
    "preStopSeconds": 10,
    "reachableWithoutStores": "verify",
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "ingress": {"enabled": True, "host": "id.example.com", "className": "nginx", "tlsSecret": "tls",
                "annotations": {"a": "b"}},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "clients": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "high",
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "identity"},
}
# Values that the schema refuses.
REFUSED = [
    {"secrets": {"name": "signet"}},
    {"publicUrl": "https://id.example.com"},
    REQUIRED | {"publicURL": "https://id.example.com"},
    REQUIRED | {"replicas": "2"},
    REQUIRED | {"drainSeconds": 0},
    REQUIRED | {"reachableWithoutStores": "all"},
    REQUIRED | {"image": {"repository": "signet", "digest": "latest"}},
    REQUIRED | {"ingress": {"enabled": True}},
]
# Changes after which the dashboard, whose panels are given by their types, is not one of Grafana's.
WRONG_IN_DASHBOARD = [
    lambda panels, _: panels["stat"].update(gridPosition={}),
    lambda panels, _: panels["stat"].update(type="singlestat"),
    lambda panels, _: panels["stat"]["options"].update(colourMode="value"),
    lambda panels, _: panels["stat"]["options"].update(graphMode="bars"),
    lambda panels, _: panels["stat"]["fieldConfig"]["defaults"]["thresholds"].update(mode="relative"),
    lambda panels, _: panels["timeseries"]["fieldConfig"]["defaults"]["custom"].update(opacity=10),
    lambda panels, _: panels["timeseries"]["fieldConfig"]["defaults"]["custom"].update(lineWidth="1"),
    lambda panels, _: panels["timeseries"]["options"]["legend"].pop("placement"),
    lambda panels, _: panels["timeseries"]["targets"][0].pop("refId"),
    lambda panels, _: panels["row"].pop("collapsed"),
    lambda _, dashboard: dashboard.update(refreshInterval="5s"),
    lambda _, dashboard: dashboard["templating"]["list"][1].update(type="label"),
]
# A link in a page of the book, to another one or to what it loads.
LINK = re.compile(r'<(?:a|img|link|script|source)\b[^>]*?\s(?:href|src|srcset)="([^"]+)"')
# The oldest version that the chart supports, and the newest whose schemas are here.
VERSIONS = ["1.30", kubernetes_validate.latest_version().rpartition(".")[0]]
# Defined by the Prometheus Operator, so Kubernetes has no schema for them.
WITHOUT_SCHEMA = {"ServiceMonitor"}


def check_settings(program, variables, settings=""):
    """The program accepts these settings."""
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "config.toml")
        file.write_text(settings)
        command = [program, "--config", str(file), "config", "show", "--changed"]
        subprocess.run(command, env=variables, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def manifests(values, release="id"):
    """The manifests of the chart, by kind and name."""
    with helm_chart.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name=release, namespace="login")
    found = {}
    for path, text in rendered.items():
        for manifest in yaml.safe_load_all(text) if path.endswith(".yaml") else []:
            if manifest:
                key = (manifest["kind"], manifest["metadata"]["name"])
                assert key not in found, key
                found[key] = manifest
    return found


def check_chart(program):
    with helm_chart.Chart.load(CHART) as chart:
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
        assert chart.metadata["appVersion"] == version, chart.metadata
    report = helm_chart.lint(CHART, REQUIRED, strict=True)
    messages = [message for message in report["messages"] if message["severity"] > 1]
    assert not messages and not report["errors"], report
    for values in REFUSED:
        try:
            with helm_chart.Chart.load(CHART) as chart:
                chart.validate_schema(values)
        except helm_python.HelmError:
            continue
        raise AssertionError(f"the schema accepts {values}")

    count = 0
    for values in (REQUIRED, EVERYTHING, EVERYTHING | {"reachableWithoutStores": "everything"}):
        found = manifests(values)
        for (kind, name), manifest in found.items():
            if kind not in WITHOUT_SCHEMA:
                for version in VERSIONS:
                    kubernetes_validate.validate(manifest, version, strict=True)
                count += 1
        check_manifests(found, values, program)
        check_outage(found, values)
    # No schema has the maximum of a service's name, and of a release's.
    for kind, name in manifests(EVERYTHING, "a" * 53):
        assert len(name) <= 63, (kind, name)
    kinds = sorted({kind for kind, _ in manifests(EVERYTHING)})
    print(f"chart: {count} manifests are valid in Kubernetes {' and '.join(VERSIONS)}; kinds: {', '.join(kinds)}")


def check_manifests(found, values, program):
    """What no schema says: names refer to each other, the times fit, and the program takes the settings."""
    deployment = found["Deployment", "id-signet"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    container = pod["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    # Rate limits need it, and Kubernetes refuses it for the type ClusterIP.
    service = found["Service", "id-signet"]["spec"]
    assert service.get("externalTrafficPolicy") == {"ClusterIP": None, "LoadBalancer": "Local"}[service["type"]]
    for (kind, _), manifest in found.items():
        if kind == "Service":
            assert manifest["spec"]["selector"].items() <= labels
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    settings = next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "settings")
    assert container["args"] == ["--config", f"{settings}/config.toml"] and container["workingDir"] == settings
    drain, stop = values.get("drainSeconds", 10), values.get("preStopSeconds", 5)
    assert pod["spec"]["terminationGracePeriodSeconds"] == drain + stop + 5
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == stop
    assert ("replicas" in deployment["spec"]) == (("HorizontalPodAutoscaler", "id-signet") not in found)
    if monitor := found.get(("ServiceMonitor", "id-signet")):
        service = found["Service", "id-signet-management"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
        assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "signet"

    secret = {
        "SIGNET_SECRET": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "DATABASE_URL": "postgres://signet@postgres/signet",
        "REDIS_URL": "redis://redis",
        "SMTP_URL": "smtps://mail.example.com",
    }
    variables = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        assert ("value" in variable) != bool(reference), variable
        assert not reference or reference["name"] == "signet"
        variables[variable["name"]] = secret[reference["key"]] if reference else variable["value"]
    assert variables["SIGNET_SERVER__DRAIN_TIMEOUT"] == f"{drain}s"
    check_settings(program, variables, found["ConfigMap", "id-signet"]["data"]["config.toml"])


def check_outage(found, values):
    """What is reached while no pod passes /readyz. Only calls that need no store may go to pods that are not ready."""
    reachable = values.get("reachableWithoutStores", "nothing")
    container = found["Deployment", "id-signet"]["spec"]["template"]["spec"]["containers"][0]
    ready = container["readinessProbe"]["httpGet"]["path"]
    assert ready == {"nothing": "/readyz", "verify": "/readyz", "everything": "/healthz"}[reachable]

    services = {name: manifest["spec"] for (kind, name), manifest in found.items() if kind == "Service"}
    for_all_pods = {name for name, spec in services.items() if spec.get("publishNotReadyAddresses")}
    verify = {"id-signet-verify"} if reachable == "verify" else set()
    assert for_all_pods == {"id-signet-management"} | verify
    for name in verify:
        assert services[name]["ports"] == services["id-signet"]["ports"]
        assert services[name].get("type", "ClusterIP") == "ClusterIP"

    if ingress := found.get(("Ingress", "id-signet")):
        paths = ingress["spec"]["rules"][0]["http"]["paths"]
        backends = {path["path"]: path["backend"]["service"] for path in paths}
        assert len(backends) == len(paths)
        for backend in backends.values():
            assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["ports"]}
        assert backends.pop("/")["name"] == "id-signet"
        assert {backend["name"] for backend in backends.values()} == verify
        assert not verify or {"/verify", "/.well-known"} <= backends.keys()


def check_compose(program):
    variables = {"PATH": os.environ["PATH"], "SIGNET_SECRET": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                 "POSTGRES_PASSWORD": "password"}
    command = [TOOLS / "docker-compose", "--file", ROOT / "compose.yaml", "config", "--format", "json"]
    read = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    services = json.loads(read.stdout)["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert pathlib.Path(volume["source"]).exists(), f"{name}: {volume['source']}"
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", f"{name}: {port}"
    nodes = [name for name in services if name.startswith("signet-")]
    for name in nodes:
        check_settings(program, services[name]["environment"])
    assert {"noeviction", "yes"} <= set(services["redis"]["command"])
    scraped = yaml.safe_load((ROOT / "packaging/compose/prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == [f"{name}:8001" for name in nodes]
    print(f"compose.yaml: Docker Compose accepts {', '.join(services)}")


def context(into):
    """Copies what the build context has: .dockerignore excludes everything and includes paths again."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and not line.startswith("#")]
    assert rules[0] == "*", rules
    included = [rule[1:] for rule in rules if rule.startswith("!")]
    excluded = [rule for rule in rules[1:] if not rule.startswith("!")]

    def ignore(folder, names):
        inside = pathlib.Path(folder).relative_to(ROOT)
        return [name for name in names if any(fnmatch.fnmatch(str(inside / name), rule) for rule in excluded)]

    for path in included:
        source = ROOT / path
        assert source.exists(), f".dockerignore includes {path}, which does not exist"
        if source.is_dir():
            shutil.copytree(source, into / path, ignore=ignore)
        else:
            shutil.copy(source, into / path)


def check_dockerfile():
    path = ROOT / "Dockerfile"
    subprocess.run([TOOLS / "hadolint", path], check=True)
    steps = dockerfile.parse_file(str(path))
    stages = [step.value for step in steps if step.cmd.upper() == "FROM"]
    for stage in stages:
        assert stage[0] == "scratch" or "@sha256:" in stage[0], f"{stage[0]} is not pinned by a digest"
    final = [step for step in steps[[step.cmd.upper() for step in steps].index("FROM", 1):]]
    one = {step.cmd.upper(): step for step in final}
    assert one["USER"].value[0].split(":")[0].isdigit() and one["USER"].value[0] != "0:0"
    assert "health" in one["HEALTHCHECK"].original and not any(step.cmd.upper() == "RUN" for step in final)
    run = " ".join(step.original for step in steps if step.cmd.upper() == "RUN")
    build = next(part for part in run.split("&&") if "cargo build" in part).split("cargo build")[1].split()
    assert "--locked" in build
    option = lambda name: build[build.index(name) + 1]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        context(folder)
        # Not offline: metadata needs the crates of all platforms, and a build has fetched only those of this one.
        command = ["cargo", "metadata", "--locked", "--format-version=1"]
        command += ["--features", option("--features")]
        read = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        packages = {package["name"]: package for package in json.loads(read.stdout)["packages"]}
        binaries = [target["name"] for target in packages["signet"]["targets"] if "bin" in target["kind"]]
        assert option("--bin") in binaries
        assert option("--profile") in tomllib.loads((folder / "Cargo.toml").read_text())["profile"]
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"Dockerfile: {len(steps)} steps; cargo reads the workspace in the build context of {size >> 10} KiB")


def compile_dashboard(schema, dashboard):
    """What the compiler says of the dashboard, with the types in the folder `schema`. Nothing if it has their form."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.joinpath("node_modules").symlink_to(schema / "node_modules")
        shutil.copy(ROOT / "packaging/grafana/schema.ts", folder)
        module = 'import type { SignetDashboard } from "./schema";\nexport const dashboard: SignetDashboard = '
        folder.joinpath("dashboard.ts").write_text(module + json.dumps(dashboard, indent=2) + ";\n")
        command = [TOOLS.parent.parent / "bin/node", schema / "node_modules/typescript/bin/tsc", "--noEmit", "--strict"]
        command += ["--skipLibCheck", "--module", "preserve", "--target", "esnext", "--types", "", "dashboard.ts"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert (ran.returncode == 0) == (ran.stdout == ""), ran
        return ran.stdout


def check_dashboard():
    text = (ROOT / "packaging/grafana/signet.json").read_text()
    schemas = sorted((TOOLS.parent / "grafana").iterdir(), key=lambda schema: int(schema.name.split(".")[0]))
    for schema in schemas:
        said = compile_dashboard(schema, json.loads(text))
        assert not said, f"the dashboard is not what Grafana {schema.name} reads:\n{said}"
        for number, change in enumerate(WRONG_IN_DASHBOARD):
            dashboard = json.loads(text)
            change({panel["type"]: panel for panel in dashboard["panels"]}, dashboard)
            said = compile_dashboard(schema, dashboard)
            assert said.startswith("dashboard.ts"), f"Grafana {schema.name} accepts change {number}: {said}"
    panels = len(json.loads(text)["panels"])
    print(f"dashboard: {panels} panels have the types of Grafana {' and '.join(schema.name for schema in schemas)}")


def check_book():
    with tempfile.TemporaryDirectory() as folder:
        command = [TOOLS / "mdbook", "build", "--dest-dir", folder, ROOT]
        built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        said = built.stdout + built.stderr
        assert not re.search("WARN|ERROR", said), said
        # The error page can be shown at any address, and the other repeats all pages.
        pages = [page for page in pathlib.Path(folder).rglob("*.html") if page.name not in ("404.html", "print.html")]
        count, dead = 0, []
        for page in pages:
            targets = map(html.unescape, LINK.findall(page.read_text()))
            for target in (target for target in targets if not re.match("[a-z]+:", target)):
                file, _, anchor = target.partition("#")
                leads_to = page.parent / file if file else page
                count += 1
                if not leads_to.exists() or (anchor and f'id="{anchor}"' not in leads_to.read_text()):
                    dead.append(f"{page.relative_to(folder)}: {target}")
        assert count > 1000 and not dead, (count, dead)
    print(f"book: mdBook builds {len(pages)} pages, whose {count} links lead to pages and headings that exist")


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else None
    check_chart(program)
    check_compose(program)
    check_dockerfile()
    check_dashboard()
    check_book()


if __name__ == "__main__":
    main()
