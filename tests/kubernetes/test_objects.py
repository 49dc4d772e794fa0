"""Every object of every example is accepted by the API server: by its schema, defaults, validation and admission."""

import pytest

from testcluster.cluster import CHART

EXAMPLES = sorted(CHART.glob("examples/*.yaml"))
#: Everything optional switched on, for what no example has.
EVERYTHING = ["db.fluentbit_sidecar.fluentd.host=fluentd.logs.", "sentinel.fluentbit_sidecar.fluentd.host=fluentd.logs.",
              "tmm.namespaces={cnf-apps,cnf-more}", "restartCoordinator.enabled=true", "networkPolicy.enabled=true",
              "metrics.dashboard.enabled=true", "logForwarder.tls=true", "logForwarder.credentialsSecret=fluentd",
              "commonLabels.team=dssm", "commonAnnotations.note=kept", "sentinel.persistent_storage=enable",
              "db.writeQuorum=1", "imagePullSecrets[0].name=registry", "nodeSelector.disk=ssd", "db.extraEnv[0].name=TZ",
              "db.extraEnv[0].value=UTC"]


@pytest.fixture(scope="module", autouse=True)
def prerequisites(cluster):
    """Namespaces of the examples, and the two kinds of the Prometheus operator, with schemas that take any content."""
    for name in ("cnf-gateway", "cnf-apps", "cnf-more"):
        cluster.api.ensure_namespace(name)
    for kind, plural in (("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")):
        cluster.api.create({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.monitoring.coreos.com"},
            "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
                     "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                         "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    # A bare pod, that of `helm test`, is refused without its account.
    marks = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {
        "meta.helm.sh/release-name": "f5-dssm", "meta.helm.sh/release-namespace": "cnf-gateway"}}
    cluster.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "f5-dssm-sentinel"} | marks},
                       "cnf-gateway")
    yield
    cluster.api.delete("ServiceAccount", "f5-dssm-sentinel", "cnf-gateway")
    for plural in ("servicemonitors", "prometheusrules"):
        cluster.api.delete("CustomResourceDefinition", f"{plural}.monitoring.coreos.com")


def rendered(cluster, version, *options):
    """The chart as Helm renders it for this very cluster, hooks included."""
    return cluster.helm("template", "f5-dssm", CHART, "-n", "cnf-gateway", "--validate" if version == 3 else "--dry-run=server",
                        *options, version=version)


def accept(cluster, manifests):
    """Creates everything without keeping it; what was taken, by kind."""
    answer = cluster.kubectl("apply", "--dry-run=server", "--validate=true", "-f", "-", stdin=manifests)
    lines = answer.strip().splitlines()
    assert all(line.endswith("(server dry run)") for line in lines), answer
    return [line.split("/")[0] for line in lines]


@pytest.mark.parametrize(("values", "version"), [(path, 4) for path in EXAMPLES] + [(CHART / "examples/production.yaml", 3)],
                         ids=lambda one: one.stem if hasattr(one, "stem") else f"helm{one}")
def test_every_object_of_an_example_is_accepted(cluster, values, version):
    kinds = accept(cluster, rendered(cluster, version, "-f", values))
    # The sentinels', their peers', the dbs', and the coordinator's status page.
    assert kinds.count("statefulset.apps") == 2 and kinds.count("service") >= 4
    assert kinds.count("poddisruptionbudget.policy") == 2
    assert ("job.batch" in kinds) == ("cronjob.batch" in kinds) == (values.stem != "cert-manager")


def test_everything_optional_is_accepted(cluster):
    options = [part for one in EVERYTHING for part in ("--set", one)]
    kinds = accept(cluster, rendered(cluster, 4, *options, "--set", "metrics.serviceMonitor.enabled=true",
                                     "--set", "metrics.prometheusRule.enabled=true"))
    assert {"servicemonitor.monitoring.coreos.com", "prometheusrule.monitoring.coreos.com", "deployment.apps",
            "networkpolicy.networking.k8s.io"} <= set(kinds)


def test_server_side_apply_takes_every_object_too(cluster):
    options = [part for one in EVERYTHING for part in ("--set", one)]
    answer = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-",
                             stdin=rendered(cluster, 4, *options))
    assert answer.count("serverside-applied") == len(answer.strip().splitlines())


def test_budgets_and_cron_jobs_are_of_the_version_that_this_server_has(cluster):
    manifests = rendered(cluster, 4)
    assert "apiVersion: policy/v1beta1\n" in manifests and "apiVersion: policy/v1\n" not in manifests
    assert "apiVersion: batch/v1beta1\n" in manifests
