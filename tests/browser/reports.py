"""Reports in each state that the page must be able to show, as the JSON of /api/status."""

import copy
import datetime

NOW = datetime.datetime(2026, 11, 23, 3, 7, 44, tzinfo=datetime.timezone.utc)


def at(**offset):
    """RFC 3339 text of a time relative to NOW: at(hours=-1)."""
    return (NOW + datetime.timedelta(**offset)).strftime("%Y-%m-%dT%H:%M:%SZ")


OLD, NEW = "3f" * 32, "a4" * 32


def certificate(days=211, fingerprint=OLD, life=365):
    return {"fingerprint": fingerprint, "notBefore": at(days=days - life), "notAfter": at(days=days, hours=2), "daysLeft": days}


def db(index, role="replica", **members):
    pod = {"name": f"f5-dssm-db-{index}", "node": f"worker-{index + 1}.site-a.example.net", "role": role, "isReady": True,
           "certificate": certificate(), "dueReasons": [], "startedAt": at(days=-41)}
    if role == "replica":
        pod |= {"isInSync": True, "lagBytes": 0}
    return pod | members


def sentinel(index, **members):
    return {"name": f"f5-dssm-sentinel-{index}", "node": f"worker-{index + 1}.site-a.example.net", "role": "sentinel",
            "isReady": True, "certificate": certificate(), "dueReasons": [], "startedAt": at(days=-41)} | members


def condition(kind, status, reason, message, **since):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(**since)}


def run(outcome="running", restarted=2, due=6, step="waiting: f5-dssm-db-1 is not in sync", **members):
    return {"startedAt": at(minutes=-6), "reasons": ["f5-dssm-db-0, f5-dssm-db-1, f5-dssm-db-2: it has not reloaded the changed certificate"], "outcome": outcome,
            "step": step, "stepSince": at(seconds=-41), "restartedPods": restarted, "duePods": due} | members


def healthy():
    return {
        "version": "1.0.0", "generatedAt": at(), "namespace": "cnf-gateway",
        "instance": "f5-dssm-restart-coordinator-6d5f7c9b8-x2x7q", "leader": "f5-dssm-restart-coordinator-6d5f7c9b8-x2x7q",
        "observedAt": at(seconds=-3),
        "cluster": {
            "primaryName": "dssm", "dbs": [db(0, "primary"), db(1), db(2)], "sentinels": [sentinel(n) for n in range(3)],
            "workloads": [{"namespace": "cnf-gateway", "name": "f5-tmm", "wantedReplicas": 3, "readyReplicas": 3,
                           "dueReasons": []}],
            "wantedPods": 3, "hasSentinelQuorum": True, "certificate": certificate()},
        "maintenance": {
            "windows": [{"name": "weeknights", "cron": "30 2 * * mon-fri", "timeZone": "Europe/Berlin", "durationSeconds": 7200},
                        {"name": "sunday", "cron": "0 1 * * sun", "timeZone": "Europe/Berlin", "durationSeconds": 14400}],
            "blackouts": ["2026-12-24/2027-01-02", "2027-04-05"], "nextOpening": at(hours=22, minutes=22),
            "stopsWorkloads": False},
        "history": [run("succeeded", 6, 6, "finished", startedAt=at(days=-41, minutes=-12), endedAt=at(days=-41)),
                    run("withdrawn", 0, 2, "nothing is due any more", startedAt=at(days=-90, minutes=-2), endedAt=at(days=-90),
                        reasons=["somebody asked for it"])],
        "conditions": [
            condition("Whole", "True", "AllInSync",
                      "one primary, all replicas in sync, all pods ready, the sentinels agree", days=-41),
            condition("RestartDue", "False", "NothingDue", "all pods run what is wanted", days=-41),
            condition("WindowOpen", "False", "Closed", "no window is open", hours=-22),
            condition("CertificateValid", "True", "Valid",
                      "all pods serve the certificate of the Secret, or have time to", days=-154)],
    }


def pod_missing():
    report = healthy()
    cluster = report["cluster"]
    del cluster["dbs"][2]
    cluster["obstacle"] = "2 of 3 db pods are ready"
    report["conditions"][0] = condition("Whole", "False", "Degraded", "2 of 3 db pods are ready", minutes=-7)
    return report


def not_in_sync():
    report = healthy()
    report["cluster"]["dbs"][1] |= {"isInSync": False, "lagBytes": 3_565_158}
    report["cluster"]["obstacle"] = "f5-dssm-db-1 is not in sync"
    return report


def no_primary():
    report = healthy()
    report["cluster"]["dbs"][0] |= {"isReady": False, "role": "unknown", "problem": "connection refused"}
    del report["cluster"]["dbs"][0]["certificate"]
    report["cluster"]["dbs"][1] |= {"isInSync": False}
    report["cluster"]["dbs"][2] |= {"isInSync": False}
    report["cluster"]["obstacle"] = "2 of 3 db pods are ready"
    return report


def two_primaries():
    report = healthy()
    report["cluster"]["dbs"][2] = db(2, "primary")
    report["cluster"]["obstacle"] = "there are 2 primaries"
    return report


def no_quorum():
    report = healthy()
    report["cluster"]["sentinels"] = [sentinel(0), sentinel(1, isReady=False)]
    report["cluster"]["hasSentinelQuorum"] = False
    report["cluster"]["obstacle"] = "1 of 3 sentinel pods are ready"
    return report


def expiring():
    report = healthy()
    for pod in report["cluster"]["dbs"] + report["cluster"]["sentinels"]:
        pod["certificate"] = certificate(6)
    report["cluster"]["certificate"] = certificate(6)
    return report


def expired():
    report = healthy()
    report["cluster"]["certificate"] = certificate(364, NEW)
    for pod in report["cluster"]["dbs"]:
        pod["certificate"] = certificate(-2)
        pod["dueReasons"] = ["it has not reloaded the changed certificate"]
    return report


def due():
    report = healthy()
    report["cluster"]["certificate"] = certificate(364, NEW)
    for pod in report["cluster"]["dbs"] + report["cluster"]["sentinels"]:
        pod["dueReasons"] = ["it has not reloaded the changed certificate"]
    return report


def in_progress():
    report = due()
    report["maintenance"] |= {"openWindow": "weeknights", "openUntil": at(hours=1, minutes=22), "stopsWorkloads": True}
    report["run"] = run()
    cluster = report["cluster"]
    cluster["dbs"][2] = db(2, certificate=certificate(364, NEW), startedAt=at(minutes=-3))
    cluster["dbs"][1] = db(1, isReady=False, isInSync=False, certificate=certificate(364, NEW), startedAt=at(seconds=-30))
    cluster["workloads"][0] |= {"wantedReplicas": 0, "readyReplicas": 0, "savedReplicas": 3}
    cluster["obstacle"] = "2 of 3 db pods are ready"
    return report


def stuck():
    report = in_progress()
    report["run"]["stepSince"] = at(minutes=-17)
    return report


def suspended():
    report = due()
    report["run"] = run("suspended", 3, 6, "the window ends too soon for another step", startedAt=at(days=-1),
                        stepSince=at(days=-1, hours=2))
    for index in (1, 2):
        report["cluster"]["dbs"][index] = db(index, certificate=certificate(364, NEW), startedAt=at(days=-1))
    return report


def standby():
    report = healthy()
    report["leader"] = "f5-dssm-restart-coordinator-6d5f7c9b8-7bkcw"
    return report


def attention():
    """A pod that a restart would not help."""
    report = healthy()
    report["cluster"]["certificate"] = certificate(364, NEW)
    for pod in report["cluster"]["dbs"] + report["cluster"]["sentinels"]:
        pod["certificate"] = certificate(364, OLD if pod["name"] == "f5-dssm-db-1" else NEW)
    report["cluster"]["sentinels"][2]["problem"] = "it does not reach enough sentinels"
    report["conditions"][3] = condition(
        "CertificateValid", "True", "Attention",
        "f5-dssm-db-1 was started after the Secret changed and serves another certificate", minutes=-20)
    return report


def failing():
    report = healthy()
    report |= {"problem": "GET https://10.96.0.1/api/v1/namespaces/cnf-gateway/pods: 503 Service Unavailable",
               "observedAt": at(minutes=-12)}
    return report


def nothing_seen():
    report = healthy()
    for member in ("cluster", "observedAt", "leader"):
        del report[member]
    report |= {"history": [], "conditions": [], "leader": report["instance"]}
    return report


def never_seen():
    return nothing_seen() | {"problem": "forbidden: pods is forbidden: User \"system:serviceaccount:cnf-gateway:coordinator\" "
                             "cannot list resource \"pods\" in API group \"\" in the namespace \"cnf-gateway\""}


def hostile():
    """Names and messages that try to break out of the page or out of the layout."""
    report = in_progress()
    evil = "</td><script>document.title='broken'</script><img src=x onerror=alert(1)>\"'&amp;"
    long = "averylongnamewithoutanybreak" * 12
    cluster = report["cluster"]
    report["namespace"] = evil
    report["version"] = report["leader"] = report["problem"] = evil
    cluster["primaryName"] = evil
    cluster["obstacle"] = evil + long
    cluster["dbs"][0] |= {"name": evil, "node": long, "dueReasons": [evil, long], "problem": evil}
    cluster["dbs"][1] |= {"name": long, "dueReasons": [evil] * 3}
    cluster["workloads"][0] |= {"name": evil, "namespace": long}
    cluster["workloads"] += [copy.deepcopy(cluster["workloads"][0]) for _ in range(80)]
    report["maintenance"]["windows"][0] |= {"name": long, "cron": evil, "timeZone": evil}
    report["maintenance"] |= {"blackouts": [evil, long], "openWindow": evil}
    report["run"] |= {"step": evil, "reasons": [evil, long]}
    report["history"] = [run("succeeded", step=evil, reasons=[evil, long])] * 30
    report["conditions"] = [condition(evil, evil, long, evil * 20, minutes=-1)]
    return report


STATES = {
    function.__name__: function for function in (
        healthy, pod_missing, not_in_sync, no_primary, two_primaries, no_quorum, expiring, expired, due, in_progress, stuck,
        suspended, standby, attention, failing, nothing_seen, never_seen, hostile)}
