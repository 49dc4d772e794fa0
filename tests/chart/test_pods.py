"""How pods run: security, probes, roles, rights."""

import pytest
import yaml
from conftest import EVERYTHING, render, sets

VARIANTS = {"defaults": [], "everything": EVERYTHING}


@pytest.fixture(params=sorted(VARIANTS))
def rendered(request):
    return render(*VARIANTS[request.param])


def test_restricted_pod_security(rendered):
    for owner, template in rendered.pod_templates():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, owner["metadata"]["name"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "runAsUser" not in pod["securityContext"], "OpenShift chooses the user"
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "runAsUser" not in context
        assert not pod.get("initContainers") and not pod.get("hostNetwork")
        assert all("hostPath" not in volume for volume in pod["volumes"])


def test_openshift_gets_no_fixed_group():
    for _, template in render("--api-versions", "security.openshift.io/v1").pod_templates():
        assert "fsGroup" not in template["spec"]["securityContext"]
    for _, template in render().pod_templates():
        assert template["spec"]["securityContext"]["fsGroup"] == 10001
    for _, template in render(*sets("podSecurityContext.fsGroup=2000")).pod_templates():
        assert template["spec"]["securityContext"]["fsGroup"] == 2000


def test_probes_need_no_certificate(rendered):
    for name in rendered.names("StatefulSet"):
        container = rendered.one("StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]
        named = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
        settings = "".join(rendered.one("ConfigMap", name)["data"].values())
        assert f"metrics-port {named['metrics']}\n" in settings and "metrics-bind *\n" in settings


def test_requests_and_memory_limits_everywhere(rendered):
    for _, template in rendered.pod_templates():
        for container in template["spec"]["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert "cpu" not in container["resources"]["limits"], "throttling looks like failure"


def test_the_grace_period_fits_the_hand_over(rendered):
    pod = rendered.one("StatefulSet", "f5-dssm-db")["spec"]["template"]["spec"]
    assert "shutdown-timeout 20\n" in rendered.one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert pod["terminationGracePeriodSeconds"] >= 30
    assert "lifecycle" not in pod["containers"][0], "SIGTERM itself hands over"


def test_a_change_of_settings_restarts_the_pods():
    def checksum(*options):
        return render(*options).one("StatefulSet", "f5-dssm-db")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum() != checksum(*sets("db.config.maxmemory=100mb"))
    assert checksum() == checksum(*sets("db.resources.requests.cpu=200m"))


def test_a_pod_knows_its_own_name_and_whom_to_ask():
    rendered = render()
    db = rendered.one("StatefulSet", "f5-dssm-db")["spec"]["template"]["spec"]["containers"][0]
    domain = "f5-dssm-db.cnf-gateway.svc.cluster.local"
    assert db["args"][:3] == ["/etc/dssm/dssm.conf", "--replica-announce-ip", f"$(POD_NAME).{domain}"]
    assert db["env"][0] == {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    sentinel = rendered.one("StatefulSet", "f5-dssm-sentinel")["spec"]["template"]["spec"]["containers"][0]
    peers = "f5-dssm-sentinel-peers.cnf-gateway.svc.cluster.local"
    assert f"--sentinel announce-ip $(POD_NAME).{peers}" in sentinel["args"]
    for name, settings in (("f5-dssm-db", "dssm.conf"), ("f5-dssm-sentinel", "sentinel.conf")):
        lines = rendered.one("ConfigMap", name)["data"][settings].splitlines()
        word = "sentinel-discovery" if name == "f5-dssm-db" else "discovery-sentinel"
        assert [line for line in lines if line.startswith(word)] == [f"{word} f5-dssm-sentinel-{n}.{peers} 26379" for n in range(3)]
        assert [line for line in lines if line.startswith("discovery-db")] == [f"discovery-db f5-dssm-db-{n}.{domain} 6379" for n in range(3)]


def test_the_pdbs_arithmetic_fits_more_replicas():
    rendered = render(*sets("replicaCount=5", "sentinel.quorum=3"))
    text = rendered.one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert text.count("sentinel-discovery ") == 5 and text.count("discovery-db ") == 5
    assert f" 6379 3\n" in rendered.one("ConfigMap", "f5-dssm-sentinel")["data"]["sentinel.conf"]


def test_lists_and_empty_values_become_directives():
    text = render(*sets("db.config.rename-command={A B,C D}")).one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert "rename-command A B\n" in text and "rename-command C D\n" in text and 'save ""\n' in text


@pytest.mark.parametrize(("limit", "expected"), [
    ("256Mi", 160 << 20), ("8Gi", 5 << 30), ("1.5Gi", 960 << 20), ("1G", 625_000_000), ("4294967296", 2684354560)])
def test_maxmemory_follows_the_memory_limit(limit, expected):
    text = render(*sets(f"db.resources.limits.memory={limit}")).one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert f"maxmemory {expected}\n" in text


def test_maxmemory_can_be_set_and_is_absent_without_a_limit():
    text = render(*sets("db.config.maxmemory=100mb")).one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert [line for line in text.splitlines() if line.startswith("maxmemory ")] == ["maxmemory 100mb"]
    text = render(*sets("db.resources.limits=null")).one("ConfigMap", "f5-dssm-db")["data"]["dssm.conf"]
    assert "maxmemory " not in text


def test_a_sentinels_queues_follow_its_memory_limit():
    def lines(*options):
        text = render(*sets(*options)).one("ConfigMap", "f5-dssm-sentinel")["data"]["sentinel.conf"]
        return [line for line in text.splitlines() if line.startswith(("forward-queue-limit", "client-query-buffer-limit"))]

    assert lines() == [f"forward-queue-limit {64 << 20}", f"client-query-buffer-limit {64 << 20}"]
    assert lines("sentinel.config.forward-queue-limit=8mb") == [f"client-query-buffer-limit {64 << 20}", "forward-queue-limit 8mb"]
    assert lines("sentinel.resources.limits=null") == []


def test_log_files_are_bounded_where_there_is_a_sidecar_to_read_them(rendered):
    for name, file in (("f5-dssm-db", "dssm.conf"), ("f5-dssm-sentinel", "sentinel.conf")):
        data = rendered.one("ConfigMap", name)["data"]
        assert ("logfile " in data[file]) == ("logfile-max-size 16777216\nlogfile-keep 1\n" in data[file]) == ("log-forwarder.yaml" in data)


def test_helm_test_asks_through_the_sentinels_service_with_the_releases_own_image():
    pod = render(*EVERYTHING).one("Pod", "f5-dssm-check")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["metadata"]["labels"]["app.kubernetes.io/instance"] == "f5-dssm", "or its own network policy keeps it out"
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert spec["restartPolicy"] == "Never" and spec["automountServiceAccountToken"] is False
    assert container["image"] == "registry.com/dssm-sentinel:0.1.0"
    assert container["args"] == ["/etc/dssm/sentinel.conf", "--check", "f5-dssm-sentinel.cnf-gateway.svc.cluster.local", "26379", "60"]
    assert spec["activeDeadlineSeconds"] > 60


def test_db_and_sentinel_have_no_rights_at_the_api(rendered):
    for name in ("f5-dssm-db", "f5-dssm-sentinel"):
        pod = rendered.one("StatefulSet", name)["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == name
        assert pod["automountServiceAccountToken"] is False
        bound = {subject["name"] for binding in rendered.all("RoleBinding") for subject in binding["subjects"]}
        assert name not in bound


def test_cert_init_may_touch_its_secrets_only(rendered):
    assert not rendered.all("ClusterRole") and not rendered.all("ClusterRoleBinding")
    roles = [role for role in rendered.all("Role") if "cert-init" in role["metadata"]["name"]]
    assert roles
    for role in roles:
        handed_out = {"dssm-certs-secret", "dssm-keys-secret"}
        kept = {"dssm-renewal-secret", "dssm-ca-key-secret"} if role["metadata"]["namespace"] == "cnf-gateway" else set()
        rights = {(verb, name) for rule in role["rules"] if rule["resources"] == ["secrets"]
                  for verb in rule["verbs"] for name in rule.get("resourceNames", ["any"])}
        expected = {(verb, name) for verb in ("get", "update") for name in handed_out | kept} | {("create", "any")}
        assert rights == expected | ({("delete", "dssm-ca-key-secret")} if kept else set())
        assert all("*" not in rule["verbs"] + rule["resources"] for rule in role["rules"])


def test_cert_init_has_rights_in_every_namespace_that_gets_the_secrets():
    rendered = render(*EVERYTHING)
    namespaces = {role["metadata"]["namespace"] for role in rendered.all("Role") if role["metadata"]["name"] == "f5-dssm-cert-init"}
    assert namespaces == {"cnf-gateway", "cnf-apps", "cnf-more"}


def test_the_hook_comes_before_the_pods_and_what_it_needs_before_it():
    hooks = [item for item in render().objects if (item["metadata"].get("annotations") or {}).get("helm.sh/hook", "test") != "test"]
    assert {item["kind"] for item in hooks} == {"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Job"}
    weights = {item["kind"]: int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in hooks}
    assert all(weights[kind] < weights["Job"] for kind in weights if kind != "Job")
    assert {item["metadata"]["annotations"]["helm.sh/hook"] for item in hooks} == {"pre-install,pre-upgrade"}
    job = next(item for item in hooks if item["kind"] == "Job")
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:3] == ["ensure", "--config", "/etc/dssm/cert-init.yaml"]
    assert container["image"] == "registry.com/dssm-cert-init:0.1.0"


def test_network_policies_let_in_the_release_and_its_clients_only():
    rendered = render(*EVERYTHING, "--set-json", 'networkPolicy.clients=[{"podSelector":{"matchLabels":{"role":"client"}}}]')
    policy = rendered.one("NetworkPolicy", "f5-dssm-db")["spec"]
    data = policy["ingress"][0]
    assert [port["port"] for port in data["ports"]] == [6379, 26379]
    assert {"podSelector": {"matchLabels": {"role": "client"}}} in data["from"]
    assert {"podSelector": {}} not in data["from"]
    names = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in data["from"] if "namespaceSelector" in peer]
    assert names == ["cnf-apps", "cnf-more"]


TMM = sets("restartCoordinator.tmm.workloads[0].namespace=cnf-tmm", "restartCoordinator.tmm.workloads[0].name=f5-tmm",
       "restartCoordinator.tmm.workloads[1].namespace=cnf-edge", "restartCoordinator.tmm.workloads[1].selector=app=tmm")


def test_the_coordinator_restarts_nothing_until_it_is_told_when():
    rendered = render()
    settings = coordinator_settings(rendered)
    assert "windows" not in settings
    assert settings["tmm"] == {"restart": False, "workloads": []}
    assert render(*sets("restartCoordinator.enabled=false")).names("Deployment") == []


def test_the_coordinator_gets_its_windows_and_workloads():
    rendered = render(*sets(
        "restartCoordinator.windows[0].cron=0 2 * * SUN", "restartCoordinator.windows[0].duration=90m",
        "restartCoordinator.windows[0].timeZone=Europe/Berlin", "restartCoordinator.blackouts[0]=2026-12-24/2027-01-02",
        "restartCoordinator.tmm.restart=true"), *TMM)
    settings = coordinator_settings(rendered)
    assert settings["windows"] == [{"cron": "0 2 * * SUN", "duration": "90m", "time-zone": "Europe/Berlin"}]
    assert settings["blackouts"] == ["2026-12-24/2027-01-02"]
    assert settings["tmm"]["restart"] is True
    assert settings["tmm"]["workloads"] == [
        {"namespace": "cnf-tmm", "name": "f5-tmm"}, {"namespace": "cnf-edge", "selector": "app=tmm"}]


def coordinator_settings(rendered):
    config = rendered.one("ConfigMap", "f5-dssm-restart-coordinator")
    return yaml.safe_load(config["data"]["restart-coordinator.yaml"])


def rights_of(role):
    return {(verb, resource, name) for rule in role["rules"] for resource in rule["resources"]
            for verb in rule["verbs"] for name in rule.get("resourceNames", ["any"])}


def test_the_coordinator_may_change_only_what_it_restarts():
    rendered = render(*sets("restartCoordinator.tmm.restart=true"), *TMM)
    rights = rights_of(rendered.one("Role", "f5-dssm-restart-coordinator"))
    assert {right for right in rights if right[1] == "secrets"} == {("get", "secrets", "dssm-certs-secret")}
    changing = {right for right in rights if right[0] not in ("get", "list", "watch")}
    assert changing == {
        ("create", "pods/eviction", "any"), ("patch", "statefulsets", "f5-dssm-db"), ("patch", "statefulsets", "f5-dssm-sentinel"),
        ("create", "configmaps", "any"), ("update", "configmaps", "f5-dssm-restart-coordinator-state"),
        ("create", "leases", "any"), ("update", "leases", "f5-dssm-restart-coordinator"),
        ("create", "events", "any"), ("patch", "events", "any")}
    workloads = {role["metadata"]["namespace"]: rights_of(role) for role in rendered.all("Role")
                 if role["metadata"]["name"].endswith("-workloads")}
    assert workloads == {
        "cnf-tmm": {("list", "pods", "any"), ("get", "deployments", "f5-tmm"), ("patch", "deployments", "f5-tmm")},
        "cnf-edge": {("list", "pods", "any"), ("get", "deployments", "any"), ("list", "deployments", "any"),
                     ("patch", "deployments", "any")}}


def test_the_coordinator_may_only_look_at_tmm_unless_it_is_to_restart_it():
    for role in render(*TMM).all("Role"):
        if role["metadata"]["name"].endswith("-workloads"):
            assert {right[0] for right in rights_of(role)} <= {"get", "list"}


@pytest.mark.parametrize("name", ["f5-dssm-db", "f5-dssm-sentinel"])
def test_a_change_of_templates_can_wait_for_a_window(name):
    assert render().one("StatefulSet", name)["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    assert render(*sets("updateStrategy=OnDelete")).one("StatefulSet", name)["spec"]["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize("name", ["f5-dssm-db", "f5-dssm-sentinel"])
def test_pods_of_a_kind_are_spread_over_zones_where_there_are_some(name):
    spread = render().one("StatefulSet", name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread == [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": name, "app.kubernetes.io/instance": "f5-dssm"}}}]


def test_alerts_lead_to_their_runbooks():
    options = sets("metrics.prometheusRule.enabled=true", "metrics.prometheusRule.runbookURL=https://docs.example/runbooks/")
    rules = render(*options).one("PrometheusRule", "f5-dssm")["spec"]["groups"][0]["rules"]
    assert {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules} == {
        rule["alert"]: f"https://docs.example/runbooks/{rule['alert']}.md" for rule in rules}
    assert "DSSMWorkloadStopped" in {rule["alert"] for rule in rules}
    without = render(*sets("metrics.prometheusRule.enabled=true")).one("PrometheusRule", "f5-dssm")["spec"]["groups"][0]["rules"]
    assert not any("runbook_url" in rule["annotations"] for rule in without)
