"""dssm-restart-coordinator on a real cluster: a whole window, deaths, rivals, and an API server that fails."""

import random
import signal
import time

import pytest
from localcluster.processes import wait_until

import coordinating as c
from release import Release, Writer, example
from testcluster.client import ApiError
from testcluster.fault_proxy import FaultProxy


@pytest.fixture(scope="module")
def release(cluster):
    """A release with TMM's stand-in, and everything that the coordinator needs but the coordinator itself."""
    release = Release(cluster)
    cluster.api.ensure_namespace(c.TMM_NAMESPACE)
    config = release.folder / "values.yaml"
    config.write_text(c.values())
    try:
        release.install("-f", example("page-registry"), "-f", config, "--set", "certInit.keyAlgorithm=ecdsa-p256",
                        "--set", f"tmm.namespaces={{{c.TMM_NAMESPACE}}}")
        c.make_tmm(cluster)
        wait_until(lambda: c.tmm_is_up(cluster), 60, lambda: cluster.describe(c.TMM_NAMESPACE), 0.2)
        yield release
    finally:
        cluster.api.call("DELETE", f"/apis/apps/v1/namespaces/{c.TMM_NAMESPACE}/deployments/{c.TMM}",
                         {"propagationPolicy": "Background"})
        release.remove()


@pytest.fixture(scope="module")
def proxy(cluster):
    proxy = FaultProxy(cluster.authority).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def alone(release, proxy):
    """Without the release's own coordinator: tests run instances of theirs. TMM is as it should be before and after."""
    release.api.patch("Deployment", c.ACCOUNT, {"spec": {"replicas": 0}}, release.namespace)
    wait_until(lambda: not release.cluster.pods(release.namespace, f"app={c.ACCOUNT}"), 60, "the coordinator's pod to go", 0.2)
    proxy.clear()
    made = []

    def make(**options):
        made.append(c.Instance(release, release.cluster.kubeconfig_for(c.ACCOUNT, release.namespace, server=proxy.url), **options))
        return made[-1]

    yield make
    for instance in made:
        instance.process.signal(signal.SIGCONT)
        instance.process.kill()
    proxy.clear()
    release.wait_until_ready()


def identifiers(release, app):
    return {pod["metadata"]["uid"] for pod in release.pods(app).values()}


def test_a_requested_restart_stops_tmm_restarts_all_dbs_and_brings_tmm_back(release, measured):
    """By the release's own pod, with the rights that the chart gives it."""
    deadline = lambda: release.cluster.kubectl("logs", "-n", release.namespace, f"deployment/{c.ACCOUNT}", "--tail=30", check=False)
    wait_until(lambda: c.state(release), 60, deadline, 0.2)
    release.wait_for_roles()
    before, runs, begin = identifiers(release, "db"), len(c.finished_runs(release)), time.monotonic()
    with Writer(release, "window") as writer, c.Witness(release) as witness:
        c.request_restart(release)
        c.wait_for_run(release, runs, 240, deadline)
    assert not before & identifiers(release, "db"), "a db was not restarted"
    assert 0 in witness.replicas and c.tmm_is_up(release.cluster), f"TMM had {witness.replicas} replicas"
    assert not witness.broken, f"more than one pod was away: {witness.broken[:3]}"
    assert not writer.lost()
    measured("a whole window (TMM to 0, three dbs, TMM back)", f"{time.monotonic() - begin:.0f} s, "
             f"{len(writer.acknowledged)} writes acknowledged, {len(writer.refused)} refused, 0 lost")


def test_a_coordinator_that_dies_at_every_write_is_followed_by_one_that_goes_on(release, proxy, alone):
    """SIGKILL while its n-th change of the cluster hangs, for every n until a run ends without being disturbed."""
    before, runs, deaths = identifiers(release, "sentinel"), len(c.finished_runs(release)), 0
    with c.Witness(release) as witness:
        c.request_restart(release, "sentinel")
        while len(c.finished_runs(release)) == runs:
            proxy.clear()
            # The first write is let through, so that each life gets one step further than the last.
            proxy.add("delay", method="PUT|POST|PATCH", path=CHANGES, times=1)
            last = proxy.add(("hang", "lose-answer")[deaths % 2], method="PUT|POST|PATCH", path=CHANGES)
            instance = alone(lease="3s")
            wait_until(lambda: last.taken or len(c.finished_runs(release)) > runs, 120,
                       lambda: f"nothing happens after {deaths} deaths\n{instance.log()[-3000:]}\n"
                               + release.cluster.describe(release.namespace), 0.1)
            instance.process.kill()
            deaths += 1
            assert deaths < 60
    assert not before & identifiers(release, "sentinel")
    assert not witness.broken, f"more than one pod was away: {witness.broken[:3]}"
    assert 0 in witness.replicas
    wait_until(lambda: c.tmm_is_up(release.cluster), 60, lambda: f"TMM does not come back\n{instance.log()[-3000:]}", 0.2)
    assert deaths >= 8, f"only {deaths} deaths"


#: Requests by which a coordinator changes the cluster, leases and Events apart.
CHANGES = r"/(configmaps|deployments|statefulsets|pods)"


def test_of_two_rivals_one_acts_and_a_frozen_leader_does_no_harm(release, proxy, alone):
    before, runs = identifiers(release, "sentinel"), len(c.finished_runs(release))
    rivals = [alone(lease="3s") for _ in range(2)]
    with c.Witness(release) as witness:
        c.request_restart(release, "sentinel")
        wait_until(lambda: any("event=step" in one.log() for one in rivals), 60,
                   lambda: rivals[0].log()[-2000:] + rivals[1].log()[-2000:], 0.1)
        leader = next(one for one in rivals if "event=leader" in one.log())
        other = next(one for one in rivals if one is not leader)
        leader.process.signal(signal.SIGSTOP)
        wait_until(lambda: "event=leader" in other.log(), 60,
                   lambda: f"nobody takes over\n{other.log()[-3000:]}", 0.1)
        leader.process.signal(signal.SIGCONT)
        c.wait_for_run(release, runs, 180, lambda: leader.log()[-2000:] + other.log()[-2000:])
    assert all(one.process.is_alive for one in rivals)
    assert not before & identifiers(release, "sentinel")
    assert not witness.broken
    wait_until(lambda: c.tmm_is_up(release.cluster), 60, "TMM to come back", 0.2)


def test_an_api_server_that_fails_in_every_way_delays_but_breaks_nothing(release, proxy, alone):
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    before, runs = identifiers(release, "sentinel"), len(c.finished_runs(release))
    instance = alone()
    with c.Witness(release) as witness:
        c.request_restart(release, "sentinel")
        deadline = time.monotonic() + 240
        while len(c.finished_runs(release)) == runs:
            assert time.monotonic() < deadline, f"not done\n{instance.log()[-4000:]}"
            assert instance.process.is_alive, instance.process.why_it_ended()
            action = chance.choice(["answer", "answer", "answer", "reset", "lose-answer", "delay", "cut"])
            rule = proxy.add(action, method=chance.choice([".*", "PUT|POST|PATCH", "GET"]), seconds=chance.uniform(0.1, 1),
                             status=chance.choice([429, 500, 503]), headers={"Retry-After": "1"},
                             path=chance.choice([".*", CHANGES, "leases", "eviction", "watch="]))
            wait_until(lambda: rule.taken or len(c.finished_runs(release)) > runs or not chance.randrange(20), 20,
                       "a request", 0.1)
            if not chance.randrange(4):
                proxy.cut_watches()
    assert not before & identifiers(release, "sentinel")
    assert not witness.broken
    wait_until(lambda: c.tmm_is_up(release.cluster), 60, "TMM to come back", 0.2)


def test_rights_end_where_the_work_ends(release):
    own = release.cluster.client_for(c.ACCOUNT, release.namespace)
    assert own.get("Secret", "dssm-certs-secret", release.namespace)
    for attempt in (lambda: own.list("Secret", release.namespace),
                    lambda: own.delete("Pod", "f5-dssm-db-0", release.namespace),
                    lambda: own.delete("StatefulSet", "f5-dssm-db", release.namespace),
                    lambda: own.get("Secret", "dssm-keys-secret", c.TMM_NAMESPACE),
                    lambda: own.list("Deployment", "kube-system"),
                    lambda: own.get("Secret", "dssm-keys-secret", release.namespace),
                    lambda: own.delete("Deployment", c.TMM, c.TMM_NAMESPACE)):
        with pytest.raises(ApiError) as refusal:
            attempt()
        assert refusal.value.status == 403
