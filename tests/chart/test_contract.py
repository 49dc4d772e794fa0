"""What users' scripts and clients depend on: names, labels, ports, volumes, Secrets."""

import pytest
import yaml
from conftest import CHART, EVERYTHING, render, sets

SERVICES = {"db": "f5-dssm-db", "sentinel": "f5-dssm-sentinel"}


@pytest.fixture(params=["page-registry", "page-fluentd", "page-availability"])
def page(request):
    """The published page's own files."""
    return render("-f", CHART / f"examples/{request.param}.yaml")


def test_two_stateful_sets_of_three_parallel_pods(page):
    assert page.names("StatefulSet") == ["f5-dssm-db", "f5-dssm-sentinel"]
    for name in SERVICES.values():
        spec = page.one("StatefulSet", name)["spec"]
        assert spec["replicas"] == 3
        assert spec["podManagementPolicy"] == "Parallel"
        assert spec["template"]["metadata"]["labels"]["app"] == name
        assert spec["selector"]["matchLabels"]["app"] == name


def test_one_container_without_fluentd_two_with(page):
    expected = 2 if "fluentd.cnf-gateway" in page.text else 1
    for component, name in SERVICES.items():
        containers = page.one("StatefulSet", name)["spec"]["template"]["spec"]["containers"]
        assert len(containers) == expected
        assert containers[0]["image"] == f"registry.com/dssm-{component}:0.1.0"
        if expected == 2:
            assert containers[1]["image"] == "registry.com/dssm-log-forwarder:0.1.0"


def test_the_log_forwarder_gets_fluentds_host_as_it_is():
    page = render("-f", CHART / "examples/page-fluentd.yaml")
    for component, name in SERVICES.items():
        settings = yaml.safe_load(page.one("ConfigMap", name)["data"]["log-forwarder.yaml"])
        assert settings["forward"]["servers"] == [{"host": "f5-toda-fluentd.cnf-gateway.svc.cluster.local.", "port": 54321}]
        assert settings["inputs"][0]["tag"] == f"dssm.{component}"
        assert f"logfile /var/log/dssm/{component}.log" in page.one("ConfigMap", name)["data"][
            "dssm.conf" if component == "db" else "sentinel.conf"]


def test_a_sidecar_that_is_off_stays_off():
    off = render(*sets("db.fluentbit_sidecar.fluentd.host=x", "db.fluentbit_sidecar.enabled=false"))
    assert len(off.one("StatefulSet", "f5-dssm-db")["spec"]["template"]["spec"]["containers"]) == 1


def ports(service):
    return [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]]


def test_services(page):
    sentinel = page.one("Service", "f5-dssm-sentinel")
    assert ports(sentinel) == [("sentinel", 26379, "TCP")]
    assert sentinel["spec"]["selector"]["app"] == "f5-dssm-sentinel"
    db = page.one("Service", "f5-dssm-db")
    assert db["spec"]["clusterIP"] == "None"
    assert [(port, protocol) for _, port, protocol in ports(db)] == [(6379, "TCP"), (26379, "TCP")]


def test_headless_services_give_pods_names_before_they_are_ready(page):
    for name in SERVICES.values():
        service = page.one("Service", page.one("StatefulSet", name)["spec"]["serviceName"])
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert service["spec"]["selector"]["app"] == name


def test_the_ports_of_services_are_the_containers(page):
    for name in SERVICES.values():
        container = page.one("StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]
        named = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in page.one("Service", name)["spec"]["ports"]:
            assert named[port["targetPort"]] == port["port"]


def test_volume_claims(page):
    templates = page.one("StatefulSet", "f5-dssm-db")["spec"]["volumeClaimTemplates"]
    assert [template["metadata"]["name"] for template in templates] == ["data"]
    spec = templates[0]["spec"]
    assert spec["accessModes"] == ["ReadWriteOnce"]
    assert spec["resources"]["requests"]["storage"] == "1Gi"
    assert "storageClassName" not in spec


def test_storage_settings():
    other = render(*sets("storageClassName=fast", "db.persistent_storage_gb=20", "db.accessMode=ReadWriteOncePod"))
    spec = other.one("StatefulSet", "f5-dssm-db")["spec"]["volumeClaimTemplates"][0]["spec"]
    assert (spec["storageClassName"], spec["resources"]["requests"]["storage"], spec["accessModes"]) == (
        "fast", "20Gi", ["ReadWriteOncePod"])
    none = render(*sets("db.persistent_storage=disable")).one("StatefulSet", "f5-dssm-db")["spec"]
    assert "volumeClaimTemplates" not in none
    assert {"name": "data", "emptyDir": {}} in none["template"]["spec"]["volumes"]


def test_disruption_budgets(page):
    assert page.names("PodDisruptionBudget") == ["f5-dssm-db", "f5-dssm-sentinel"]
    for name in SERVICES.values():
        spec = page.one("PodDisruptionBudget", name)["spec"]
        assert spec["minAvailable"] == 2
        assert spec["selector"]["matchLabels"]["app"] == name


def affinity(rendered, name):
    return rendered.one("StatefulSet", name)["spec"]["template"]["spec"].get("affinity")


def test_required_affinity_is_the_default(page):
    for name in SERVICES.values():
        terms = affinity(page, name)["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert terms == [{"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": [name]}]},
                          "topologyKey": "kubernetes.io/hostname"}]


def test_preferred_and_custom_affinity():
    preferred = render(*sets("db.affinity_type=preferred"))
    assert list(affinity(preferred, "f5-dssm-db")["podAntiAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" in affinity(preferred, "f5-dssm-sentinel")["podAntiAffinity"]
    custom = render("-f", CHART / "examples/custom-affinity.yaml")
    assert list(affinity(custom, "f5-dssm-db")) == ["nodeAffinity"]
    assert affinity(custom, "f5-dssm-sentinel") is None


def test_secrets_are_mounted_whole_so_that_renewals_arrive(page):
    for name in SERVICES.values():
        pod = page.one("StatefulSet", name)["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        assert secrets == {"certs": "dssm-certs-secret", "keys": "dssm-keys-secret"}
        mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] in secrets]
        assert len(mounts) == 2 and all("subPath" not in mount and mount["readOnly"] for mount in mounts)
        settings = "".join(page.one("ConfigMap", name)["data"].values())
        for line in ("tls-ca-cert-file /etc/dssm/certs/dssm-ca.crt", "tls-cert-file /etc/dssm/certs/dssm-cert.crt",
                     "tls-key-file /etc/dssm/keys/dssm-key.key", "tls-dh-params-file /etc/dssm/certs/dhparam2048.pem"):
            assert line in settings


def test_cert_managers_secret():
    text = render("-f", CHART / "examples/cert-manager.yaml").one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert "tls-cert-file /etc/dssm/certs/tls.crt" in text and "tls-key-file /etc/dssm/keys/tls.key" in text
    assert "tls-dh-params-file" not in text


def test_names_of_another_release():
    other = render(*EVERYTHING, release="east")
    assert other.names("StatefulSet") == ["east-f5-dssm-db", "east-f5-dssm-sentinel"]
    assert other.one("StatefulSet", "east-f5-dssm-db")["spec"]["template"]["metadata"]["labels"]["app"] == "east-f5-dssm-db"
    for item in other.objects:
        assert item["metadata"]["name"].startswith("east-f5-dssm")


def test_the_service_of_tmms_settings_exists(page):
    """SESSIONDB_EXTERNAL_SERVICE is f5-dssm-sentinel.<namespace>; that needs an address that outlives pods."""
    assert page.one("Service", "f5-dssm-sentinel")["spec"].get("clusterIP") != "None"


def test_prefixed_image_repository_and_tag():
    image = render(*sets("image.repository=registry.com/f5/", "image.tag=9.9")).one("StatefulSet", "f5-dssm-db")
    assert image["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.com/f5/dssm-db:9.9"
