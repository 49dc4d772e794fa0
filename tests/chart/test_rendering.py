"""The chart renders with both Helms, and what it renders is valid for the API."""

import json
import re
import subprocess

import kubernetes_validate
import pytest
import yaml
from conftest import CHART, EVERYTHING, EXAMPLES, Rendered, render, run_helm, sets, template

RELEASES = ["f5-dssm", "east"]
#: No schema is known for these: they are others' custom resources.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
VARIANTS = {path.stem: ["-f", str(path)] for path in EXAMPLES} | {
    "defaults": [],
    "everything": EVERYTHING,
    "openshift": ["--api-versions", "security.openshift.io/v1"],
    "nothing-optional": sets("certInit.enabled=false", "serviceAccount.create=false", "db.persistent_storage=disable"),
    "manual-certificates": sets("certInit.profile=manual"),
}


def test_lint(helm):
    result = run_helm(helm, "lint", "--strict", CHART)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_lint_with_example(helm, example):
    result = run_helm(helm, "lint", "--strict", CHART, "-f", example)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_both_helms_render_the_same_objects(variant):
    def key(item):
        return item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "")

    three, four = (sorted(Rendered(template("f5-dssm", helm, *VARIANTS[variant])).objects, key=key)
                   for helm in ("helm3", "helm4"))
    assert three == four


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_object_is_valid(variant, release):
    for item in render(*VARIANTS[variant], release=release).objects:
        if item["kind"] not in FOREIGN:
            kubernetes_validate.validate(item, "1.36", strict=True)


def test_an_old_cluster_gets_the_versions_that_it_has():
    old = render("--kube-version", "1.20.2")
    assert {item["apiVersion"] for item in old.all("PodDisruptionBudget")} == {"policy/v1beta1"}
    assert {item["apiVersion"] for item in old.all("CronJob")} == {"batch/v1beta1"}
    new = render()
    assert {item["apiVersion"] for item in new.all("PodDisruptionBudget")} == {"policy/v1"}
    assert {item["apiVersion"] for item in new.all("CronJob")} == {"batch/v1"}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_no_two_objects_have_one_name(variant):
    keys = [(item["kind"], item["metadata"]["name"], item["metadata"].get("namespace")) for item in render(*VARIANTS[variant]).objects]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("variant", ["everything", "defaults"])
def test_yaml_is_clean(variant):
    rules = "{extends: relaxed, rules: {line-length: disable, indentation: {spaces: consistent, indent-sequences: whatever}}}"
    result = subprocess.run(["yamllint", "--strict", "-d", rules, "-"], input=template("f5-dssm", "helm4", *VARIANTS[variant]).rstrip() + "\n",
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_values_are_the_schemas():
    """Each key of values.yaml is in the schema and the other way round, so that neither can be forgotten."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(value, node, path):
        if "properties" not in node or path.endswith(".resources"):
            return
        keys = set(node["properties"]) - ({"global"} if path == "" else set())
        assert keys == set(value), path
        assert node["additionalProperties"] is False, path
        for key in keys:
            compare(value[key], node["properties"][key], f"{path}.{key}")

    compare(values, schema, "")


@pytest.mark.parametrize(("setting", "message"), [
    ("db.afinity_type=required", "afinity_type"),
    ("replicas=3", "replicas"),
    ("db.affinity_type=soft", "affinity_type"),
    ("db.persistent_storage=true", "persistent_storage"),
    ("replicaCount=2", "replicaCount"),
    ("db.pod_disruption_budget.min_available=two", "min_available"),
    ("db.fluentbit_sidecar.fluentd.port=fluentd", "port"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("certInit.days=900", "days"),
    ("tmm.namespaces={Upper}", "namespaces"),
    ("logFormat=xml", "logFormat"),
    ("metrics.port=80", "port"),
    ("db.config.port=6380", "'port' is set by the chart itself"),
    ("db.config.replicaof=x", "'replicaof' is set by the chart itself"),
    ("db.resources.limits.memory=lots", "'lots' is no quantity of memory"),
    ("db.config.logfile-max-size=1mb", "'logfile-max-size' is set by the chart itself"),
    ("tls.certsSecret=mine", "set certInit.enabled to false"),
    ("restartCoordinator.windows[0].cron=@daily", "duration"),
    ("restartCoordinator.blackouts[0]=christmas", "blackouts"),
    ("updateStrategy=Never", "updateStrategy"),
    ("db.shutdownTimeoutSeconds=55", "terminationGracePeriodSeconds must be at least"),
])
def test_a_wrong_value_is_refused_with_its_name(helm, setting, message):
    result = run_helm(helm, "template", "f5-dssm", CHART, "--set", setting)
    assert result.returncode != 0
    assert message in result.stderr


def test_a_release_name_that_is_too_long_is_refused(helm):
    result = run_helm(helm, "template", "r" * 35, CHART)
    assert result.returncode != 0 and "34 characters" in result.stderr


def test_the_longest_release_name_keeps_all_names_within_their_limits():
    rendered = render(*EVERYTHING, release="r" * 34)
    limits = {"StatefulSet": 52, "CronJob": 52, "Job": 63, "Service": 63}
    for item in rendered.objects:
        assert len(item["metadata"]["name"]) <= limits.get(item["kind"], 253), item["metadata"]["name"]
        for value in (item["metadata"].get("labels") or {}).values():
            assert len(value) <= 63


def test_notes_name_the_objects():
    # Helm 3 asks a cluster even for a dry run.
    result = run_helm("helm4", "install", "f5-dssm", CHART, "--dry-run=client", "--namespace", "cnf-gateway")
    assert result.returncode == 0, result.stderr
    notes = result.stdout[result.stdout.index("NOTES:"):]
    assert "app in (f5-dssm-db, f5-dssm-sentinel)" in notes
    assert 'SESSIONDB_EXTERNAL_SERVICE: "f5-dssm-sentinel.cnf-gateway"' in notes
    assert "helm test f5-dssm -n cnf-gateway --logs" in notes


def test_the_dashboard_and_the_rules_use_metrics_that_exist():
    sources = "".join(path.read_text() for path in (CHART.parents[1] / "services").rglob("*.swift"))
    used = set(re.findall(r"\bdssm_[a-z_]+", (CHART / "files/dashboard.json").read_text()))
    for rule in (CHART / "templates/monitoring/prometheusrule.yaml").read_text().splitlines():
        used |= set(re.findall(r"\bdssm_[a-z_]+", rule))
    assert used and {name for name in used if f'"{name}"' not in sources} == set()
