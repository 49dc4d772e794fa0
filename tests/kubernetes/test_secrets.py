"""dssm-cert-init against the real API server, with the rights that the chart gives it."""

import random
import subprocess
import time

import pytest
from localcluster import binaries
from localcluster.processes import wait_until

from issuing import ACCOUNT, SECRETS, Installation, days_left
from testcluster.client import ApiError
from testcluster.fault_proxy import FaultProxy

#: What makes a Secret cert-init's own.
OWNED = {"app.kubernetes.io/managed-by": "dssm-cert-init"}


@pytest.fixture
def installation(cluster):
    return Installation(cluster)


@pytest.fixture(scope="module")
def proxy(cluster):
    proxy = FaultProxy(cluster.authority).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def through_proxy(cluster, installation, proxy):
    """A kubeconfig of the account that goes through the proxy."""
    proxy.clear()
    proxy.requests.clear()
    yield cluster.kubeconfig_for(ACCOUNT, installation.home, server=proxy.url)
    proxy.clear()


def own_pair(installation, folder="made-by-hand", *options, hours_ago=0):
    """A pair as the manual procedure makes it."""
    path = installation.folder / folder
    clock = ["faketime", "-f", f"-{hours_ago}h"] if hours_ago else []
    subprocess.run([*clock, binaries.ours("dssm-cert-init"), "issue", "--output-directory", path,
                    "--profile", "manual", "--key-algorithm", "rsa2048", *options], check=True, capture_output=True, timeout=60)
    return {name: (path / name).read_bytes() for items in SECRETS.values() for name in items}


# MARK: What it makes and keeps

def test_the_first_run_makes_the_secrets_in_every_namespace(installation):
    installation.ensure()
    installation.check()
    for namespace in installation.namespaces:
        for name, items in SECRETS.items():
            secret = installation.secret(name, namespace)
            assert set(secret["data"]) == items and secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "dssm-cert-init"
    assert {name for name, kind, _, _ in installation.events() if kind == "Normal"} >= set(SECRETS)


def test_a_second_run_writes_nothing(installation):
    installation.ensure()
    before = installation.versions()
    installation.ensure()
    assert installation.versions() == before


def test_a_pair_that_is_due_is_renewed_everywhere_and_the_old_authority_stays_trusted(installation):
    items = own_pair(installation, "old", "--days", "1", hours_ago=22)
    for name, names in SECRETS.items():
        installation.put(name, {item: items[item] for item in names}, labels=OWNED)
    old, authority = installation.authorities()[0], items["dssm-cert.crt"]
    output = installation.ensure()
    installation.check()
    assert installation.items()["dssm-cert.crt"] != authority
    assert days_left(installation.folder / "dssm-cert.crt") > 360
    assert old in installation.authorities() and len(installation.authorities()) == 2, output
    assert not installation.secret("dssm-renewal-secret").get("data")


def test_the_old_authority_goes_when_the_overlap_is_over(installation):
    installation.ensure()
    old = installation.authorities()[0]
    installation.ensure("--force", "--overlap", "3s")
    assert old in installation.authorities()
    wait_until(lambda: installation.ensure("--overlap", "3s") is not None and old not in installation.authorities(), 30,
               "the old authority to go", 0.5)
    installation.check()


def test_a_renewal_waits_until_everybody_can_trust_the_new_authority(installation):
    installation.ensure()
    old = installation.check()
    installation.ensure("--force", "--propagation-delay", "6s")
    assert installation.check() == old and len(installation.authorities()) == 2
    installation.ensure("--propagation-delay", "6s")
    assert installation.check() == old, "the delay is not over"
    wait_until(lambda: installation.ensure("--propagation-delay", "6s") is not None and installation.check() != old, 30,
               "the new pair", 0.5)


def test_what_is_missing_is_copied_and_the_trust_stays(installation):
    installation.ensure()
    pair = installation.check()
    installation.api.delete("Secret", "dssm-certs-secret", installation.tmm)
    installation.ensure()
    assert installation.check() == pair
    installation.api.patch("Secret", "dssm-keys-secret", {"data": {"dssm-key.key": None}}, installation.home)
    installation.ensure()
    assert installation.check() == pair


def test_the_cron_job_really_runs_as_a_pod_and_changes_nothing(installation):
    """The image in a container, with the account's mounted token, the cluster's DNS and Service address."""
    installation.ensure()
    before = installation.versions()
    installation.cluster.kubectl("create", "job", "now", f"--from=cronjob/{ACCOUNT}", "-n", installation.home)
    try:
        wait_until(lambda: installation.api.get("Job", "now", installation.home)["status"].get("succeeded"), 60,
                   lambda: installation.cluster.describe(installation.home), 0.2)
    finally:
        installation.api.delete("Job", "now", installation.home)
    assert installation.versions() == before


# MARK: Secrets of others

def test_usable_secrets_made_by_hand_are_kept_and_copied_to_tmm(installation):
    items = own_pair(installation)
    for name, names in SECRETS.items():
        installation.put(name, {item: items[item] for item in names})
    before = installation.versions()
    installation.ensure()
    assert {key: version for key, version in installation.versions().items() if key[0] == installation.home} == before
    assert installation.items(installation.tmm) == items


def test_unusable_secrets_made_by_hand_are_explained_and_left_alone(installation):
    items, other = own_pair(installation), own_pair(installation, "another")
    installation.put("dssm-certs-secret", {item: items[item] for item in SECRETS["dssm-certs-secret"]})
    installation.put("dssm-keys-secret", {"dssm-key.key": other["dssm-key.key"]})
    before = installation.versions()
    output = installation.ensure(expect=3)
    assert "dssm-keys-secret" in output or "dssm-certs-secret" in output
    assert {key: version for key, version in installation.versions().items() if key in before} == before
    assert any(kind == "Warning" for _, kind, _, _ in installation.events())
    assert all("PRIVATE KEY" not in message for _, _, _, message in installation.events())


# MARK: Rights

def test_the_accounts_rights_end_at_its_own_secrets(installation):
    installation.ensure()
    own = installation.cluster.client_for(ACCOUNT, installation.home)
    assert own.get("Secret", "dssm-certs-secret", installation.home)
    installation.put("other", {"password": b"x"})
    for attempt in (
            lambda: own.list("Secret", installation.home),
            lambda: own.list("Secret", None),
            lambda: own.get("Secret", "other", installation.home),
            lambda: own.get("Secret", "dssm-renewal-secret", installation.tmm),
            lambda: own.get("Secret", "dssm-certs-secret", "kube-system"),
            lambda: own.delete("Secret", "dssm-certs-secret", installation.home),
            lambda: own.patch("Secret", "other", {"data": None}, installation.home),
            lambda: own.list("ConfigMap", installation.home),
            lambda: own.list("Pod", installation.home),
            lambda: own.token_for(ACCOUNT, installation.home)):
        with pytest.raises(ApiError) as refusal:
            attempt()
        assert refusal.value.status == 403


def test_a_namespace_without_rights_is_named_and_the_others_are_done(installation):
    installation.api.ensure_namespace("closed")
    output = installation.ensure("--tmm-namespace", installation.tmm, "--tmm-namespace", "closed", expect=1)
    assert "closed" in output and "forbidden" in output
    installation.check()


def test_a_namespace_that_has_gone_is_named_and_the_others_are_done(installation):
    """For an account without cluster-wide rights the API server's answer is 403, as for a namespace without a role."""
    output = installation.ensure("--tmm-namespace", installation.tmm, "--tmm-namespace", "gone", expect=1)
    assert "gone" in output
    installation.check()


# MARK: Races and ends

def test_two_first_runs_at_once_make_one_pair(cluster):
    for _ in range(5):
        installation = Installation(cluster)
        runs = [installation.launch() for _ in range(2)]
        for run in runs:
            assert run.wait(60) == 0, run.log()
        installation.check()
        assert not installation.secret("dssm-renewal-secret") or not installation.secret("dssm-renewal-secret").get("data")


def test_three_renewals_at_once_end_with_one_pair(installation):
    installation.ensure()
    old = installation.check()
    runs = [installation.launch("--force") for _ in range(3)]
    for run in runs:
        assert run.wait(60) == 0, run.log()
    assert installation.check() != old


def test_a_run_that_is_killed_at_any_request_is_completed_by_the_next(installation, proxy, through_proxy):
    """SIGKILL while the n-th request hangs, for every n that a renewal has, before and after the server has done it."""
    installation.ensure()
    killed = 0
    for action in ("hang", "lose-answer"):
        for number in range(1, 60):
            proxy.clear()
            pair = installation.check()
            proxy.add("delay", method="PUT|POST", path="/secrets", times=number - 1)
            rule = proxy.add(action, method="PUT|POST", path="/secrets")
            run = installation.launch("--force", kubeconfig=through_proxy)
            wait_until(lambda: rule.taken or not run.is_alive, 60, lambda: f"neither the request nor the end: {run.log()}")
            if not rule.taken:
                assert run.wait(1) == 0, run.log()
                break
            run.kill()
            killed += 1
            proxy.clear()
            installation.ensure()
            # The first write decides; before it nothing was begun.
            assert (installation.check() != pair) == (action == "lose-answer" or number > 1)
    assert killed >= 8, f"only {killed} kills"


# MARK: Faults of the API server

@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_errors_are_survived(installation, proxy, through_proxy, status):
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    proxy.add("answer", status=status, times=2, headers={"Retry-After": "1"} if status == 429 else {})
    for _ in range(3):
        proxy.add("answer", method="PUT|POST", path=chance.choice(["certs-secret", "keys-secret", "/secrets$", "renewal"]),
                  status=status, headers={"Retry-After": "1"} if status == 429 else {})
    installation.ensure(kubeconfig=through_proxy)
    installation.check()


def test_a_lost_answer_to_a_write_is_found_out(installation, proxy, through_proxy):
    """The server has done it, the client does not know: neither a second pair nor a failure may come of it."""
    rule = proxy.add("lose-answer", method="PUT|POST", path="/secrets", times=3)
    installation.ensure(kubeconfig=through_proxy)
    pair = installation.check()
    assert rule.taken == 3
    installation.ensure()
    assert installation.check() == pair


def test_an_api_server_that_is_away_is_told_in_one_line(installation, cluster):
    nobody = cluster.kubeconfig_for(ACCOUNT, installation.home, server="https://127.0.0.1:1")
    begin = time.monotonic()
    output = installation.ensure(kubeconfig=nobody, expect=1, deadline=120)
    last = output.strip().splitlines()[-1]
    assert last.startswith("dssm-cert-init: ") and "Connection refused" in last and len(last) < 300
    assert time.monotonic() - begin < 90


def test_a_refused_token_is_told(installation, cluster, tmp_path):
    text = installation.kubeconfig.read_text()
    token = text.partition('"token": "')[2].partition('"')[0]
    broken = tmp_path / "kubeconfig"
    broken.write_text(text.replace(token, token[:-8] + "AAAAAAAA"))
    output = installation.ensure(kubeconfig=broken, expect=1)
    assert "401" in output or "Unauthorized" in output
