"""`helm install` with the published page's own files: what a user then sees, on real nodes, with either Helm."""

import pytest
import redis
from localcluster.processes import wait_until

from release import DB_PORT, SENTINEL_PORT, Release, example
from testcluster.cluster import CommandFailed, is_ready


@pytest.fixture(scope="module", params=[("page-registry", 4), ("page-availability", 3)], ids=lambda one: f"{one[0]}-helm{one[1]}")
def installed(request, cluster, measured):
    values, version = request.param
    release = Release(cluster, version)
    try:
        release.install("-f", example(values))
        measured(f"seconds from helm {version} install ({values}) to six ready pods", release.seconds_to_ready)
        yield release
    finally:
        release.remove()


def test_six_pods_become_ready_within_a_minute(installed):
    assert installed.seconds_to_ready < 60
    pods = installed.pods()
    assert sorted(pods) == [f"f5-dssm-{app}-{number}" for app in ("db", "sentinel") for number in range(3)]
    for name, pod in pods.items():
        assert len(pod["spec"]["containers"]) == 1, name
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, installed.cluster.describe(installed.namespace)


def test_no_two_pods_of_a_kind_share_a_node(installed):
    for app in ("db", "sentinel"):
        assert len({pod["spec"]["nodeName"] for pod in installed.pods(app).values()}) == 3


def test_objects_have_the_names_that_users_know(installed):
    api, namespace = installed.api, installed.namespace
    ports = {one["name"]: one["port"] for one in api.get("Service", "f5-dssm-sentinel", namespace)["spec"]["ports"]}
    assert ports == {"sentinel": 26379}
    service = api.get("Service", "f5-dssm-db", namespace)
    assert service["spec"]["clusterIP"] == "None"
    assert {one["port"] for one in service["spec"]["ports"]} == {6379, 26379}
    claims = {one["metadata"]["name"]: one["status"]["phase"] for one in api.list("PersistentVolumeClaim", namespace)}
    assert claims == {f"data-f5-dssm-db-{number}": "Bound" for number in range(3)}
    for app in ("db", "sentinel"):
        budget = api.get("PodDisruptionBudget", f"f5-dssm-{app}", namespace)
        assert budget["spec"]["minAvailable"] == 2
        wait_until(lambda: api.get("PodDisruptionBudget", f"f5-dssm-{app}", namespace)["status"]["disruptionsAllowed"] == 1,
                   30, "the budget to count the pods", 0.1)


def test_the_secrets_are_made_before_the_pods(installed):
    assert sorted(installed.secret("dssm-certs-secret")) == ["dhparam2048.pem", "dssm-ca.crt", "dssm-cert.crt"]
    assert sorted(installed.secret("dssm-keys-secret")) == ["dssm-key.key"]
    made = installed.api.get("Secret", "dssm-keys-secret", installed.namespace)["metadata"]["creationTimestamp"]
    assert all(made <= pod["metadata"]["creationTimestamp"] for pod in installed.pods().values())


def test_the_hook_leaves_nothing_behind(installed):
    for kind in ("Job", "ServiceAccount", "Role", "RoleBinding", "ConfigMap"):
        names = [one["metadata"]["name"] for one in installed.api.list(kind, installed.namespace)]
        assert "f5-dssm-cert-init-hook" not in names, kind


def test_one_primary_and_everybody_agrees(installed):
    primary = installed.wait_for_roles()
    name = f"{primary}.f5-dssm-db.{installed.namespace}.svc.cluster.local"
    for number in range(3):
        sentinel = installed.sentinel(number)
        assert sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "dssm") == [name, "6379"]
        wait_until(lambda: (state := sentinel.sentinel_master("dssm"))["num-slaves"] == 2
                   and state["num-other-sentinels"] == 2, 30, "a sentinel to know the others", 0.1)


def test_redis_cli_writes_through_the_sentinels_service_and_replicas_have_it(installed):
    installed.wait_for_roles()
    address = installed.service_address("f5-dssm-sentinel")
    assert installed.redis_cli(address, SENTINEL_PORT, "SET", "session:1", "state", "EX", "180") == "OK"
    for number in range(3):
        client = installed.db(number)
        wait_until(lambda: client.get("session:1") == "state", 10, f"db {number} to have the key")


def test_a_db_pod_answers_on_the_sentinels_port_number_too(installed):
    primary = installed.wait_for_roles()
    assert installed.redis_cli(installed.address(primary), SENTINEL_PORT, "SET", "one-port", "1") == "OK"


def test_names_resolve_inside_pods_as_tmm_uses_them(installed):
    address = installed.service_address("f5-dssm-sentinel")
    for name in (f"f5-dssm-sentinel.{installed.namespace}", "f5-dssm-sentinel"):
        answer = installed.cluster.kubectl("exec", "-n", installed.namespace, "f5-dssm-db-0", "--", "getent", "hosts", name)
        assert answer.split()[0] == address


def test_nobody_gets_in_without_a_certificate(installed):
    primary, authority = installed.address(installed.wait_for_roles()), installed.credentials()[2]
    with pytest.raises(redis.ConnectionError):
        redis.Redis(primary, DB_PORT, socket_timeout=5).ping()
    for host, port in ((primary, DB_PORT), (installed.address("f5-dssm-sentinel-0"), SENTINEL_PORT)):
        with pytest.raises(redis.ConnectionError):
            redis.Redis(host, port, ssl=True, ssl_ca_certs=str(authority), ssl_check_hostname=False, socket_timeout=5,
                        retry=None).ping()


def test_pods_run_unprivileged(installed):
    """What the container really has, not what the chart asks for."""
    for name in ("f5-dssm-db-0", "f5-dssm-sentinel-0"):
        status = installed.cluster.kubectl("exec", "-n", installed.namespace, name, "--", "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0"
        assert int(fields["CapEff"], 16) == 0 and fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
        with pytest.raises(CommandFailed, match="Read-only file system"):
            installed.cluster.kubectl("exec", "-n", installed.namespace, name, "--", "touch", "/usr/x")


def test_the_coordinators_pod_is_ready_too(installed):
    def ready():
        pods = installed.cluster.pods(installed.namespace, "app=f5-dssm-restart-coordinator")
        return len(pods) == 1 and all(is_ready(pod) for pod in pods.values())
    wait_until(ready, 60, lambda: installed.cluster.describe(installed.namespace), 0.2)


def test_logs_reach_kubectl(installed):
    primary = installed.wait_for_roles()
    assert "event=role-decided" in installed.cluster.kubectl("logs", "-n", installed.namespace, primary)


def test_helm_agrees_that_it_is_deployed(installed):
    assert "STATUS: deployed" in installed.helm("status", "f5-dssm")
    assert all(is_ready(pod) for pod in installed.pods().values())


def test_helm_test_succeeds(installed):
    installed.wait_for_roles()
    installed.helm("test", "f5-dssm", "--timeout", "100s")
    log = installed.cluster.kubectl("logs", "-n", installed.namespace, "f5-dssm-check")
    assert log.strip(), "the check says nothing"


def test_helm_upgrades_and_rolls_back(installed):
    installed.upgrade("--reuse-values", "--set", "sentinel.downAfterMilliseconds=2000")
    installed.wait_until_ready()
    installed.wait_for_roles()
    assert installed.sentinel(0).sentinel_master("dssm")["down-after-milliseconds"] == 2000
    installed.helm("rollback", "f5-dssm", "1")
    installed.wait_until_ready()
    installed.wait_for_roles()
    assert installed.sentinel(0).sentinel_master("dssm")["down-after-milliseconds"] == 1000
