#!/usr/bin/env python3
"""Keeps the layers of docs/ARCHITECTURE.md: the declared dependencies, and the imports of every source file.

The compiler's own check of imports misses some cases, and no compiler knows which service may not know which. So this
reads `swift package dump-package` and the `import` lines, and holds both against the ranks below. A target that is
not in the table is an error: whoever adds one says here where it belongs.
"""

import argparse
import json
import os
import re
import subprocess
import sys

# A target may depend only on targets of a lower rank.
RANKS = {
    "CLinux": 0, "COpenSSL": 0, "CLZ4": 0, "CYAML": 0, "CZlib": 0,
    "ByteStorage": 1,
    "RESP": 2, "TLS": 2, "Compression": 2, "ServerConfiguration": 2, "Telemetry": 2, "YAML": 2,
    "Reactor": 3, "KubernetesAPI": 3, "RESPClient": 4,
    "RoleDiscovery": 5,
    "DatabaseEngine": 4, "SentinelCore": 4, "CertificateIssuing": 4, "LogForwarding": 4, "RestartCoordination": 5,
    "DatabasePersistence": 5, "DatabaseReplication": 5,
    "DatabaseServer": 6, "SentinelServer": 6,
    "dssm-db": 7, "dssm-sentinel": 7, "dssm-cert-init": 7, "dssm-log-forwarder": 7, "dssm-restart-coordinator": 7,
}

# Modules that need no declaration: the toolchain's own.
TOOLCHAIN = {"Swift", "Glibc", "Synchronization", "Testing", "Foundation", "FoundationEssentials", "Dispatch", "_Concurrency"}

PURE = {"RESP", "DatabaseEngine", "SentinelCore"}
FORBIDDEN_IN_PURE = {"Reactor", "TLS", "COpenSSL", "Foundation", "FoundationEssentials", "Dispatch"}

C_LIBRARY = {"Glibc", "CLinux"}

# Calls of Glibc that a pure module may not make: sockets, clocks, files, entropy. Memory and number functions are fine.
IMPURE_CALLS = ("socket", "connect", "accept", "accept4", "bind", "listen", "send", "recv", "sendto", "recvfrom", "sendmsg",
                "recvmsg", "getaddrinfo", "epoll_create1", "epoll_wait", "epoll_ctl", "poll", "select", "clock_gettime",
                "gettimeofday", "time", "nanosleep", "usleep", "sleep", "getrandom", "arc4random", "open", "openat", "fopen",
                "fork", "posix_spawn")

# The data path and what it stands on: Foundation is too slow and too big there.
NO_FOUNDATION_FOLDERS = ("services/db/", "services/sentinel/", "shared/")

IMPORT = re.compile(r"^\s*(?:@[\w()]+\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+"
                    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")


def service_of(path):
    """`db` for services/db/Engine; None for what all services share."""
    parts = path.split("/")
    return parts[1] if parts[0] == "services" else None


def dependencies_of(target):
    """Names of targets and products that a target declares."""
    names = []
    for dependency in target["dependencies"]:
        for kind in ("byName", "target", "product"):
            if kind in dependency:
                names.append(dependency[kind][0])
    return names


def check_declarations(package):
    """Messages about the dependencies in Package.swift."""
    targets = {target["name"]: target for target in package["targets"]}
    importers = {}
    for name, target in targets.items():
        is_test = target["type"] == "test" or target["path"].startswith("tests/")
        if not is_test and name not in RANKS:
            yield f"{name}: not in the table of ranks in tools/check-layers.py"
            continue
        for dependency in dependencies_of(target):
            if dependency not in targets:
                continue  # a product of another package
            other = targets[dependency]
            if other["type"] == "system" and not is_test:
                importers.setdefault(dependency, []).append(name)
            if is_test:
                continue
            if other["path"].startswith("tests/"):
                yield f"{name}: depends on {dependency}, which is for tests"
            elif dependency in RANKS and RANKS[dependency] >= RANKS[name]:
                yield f"{name} (rank {RANKS[name]}): depends on {dependency} (rank {RANKS[dependency]}), which is not below it"
            ours, theirs = service_of(target["path"]), service_of(other["path"])
            if theirs is not None and theirs != ours:
                yield f"{name}: depends on {dependency} of another service; services meet on the wire only"
    for module, users in importers.items():
        if module != "CLinux" and len(users) != 1:
            yield f"{module}: must be imported by exactly one Swift target, but is by {', '.join(users)}"


def closure(name, targets):
    """All targets below one."""
    found, waiting = set(), [name]
    while waiting:
        for dependency in dependencies_of(targets[waiting.pop()]):
            if dependency in targets and dependency not in found:
                found.add(dependency)
                waiting.append(dependency)
    return found


def check_sources(package, root):
    """Messages about the import lines, and about impure calls in pure modules."""
    targets = {target["name"]: target for target in package["targets"]}
    for name, target in targets.items():
        if target["type"] == "system":
            continue
        declared = set(dependencies_of(target)) | TOOLCHAIN
        is_test = target["path"].startswith("tests/")
        impure = re.compile(r"(?<![\w.])(?:Glibc\.)?(" + "|".join(IMPURE_CALLS) + r")\(") if name in PURE else None
        for path in swift_files(os.path.join(root, target["path"])):
            shown = os.path.relpath(path, root)
            with open(path, encoding="utf-8") as file:
                lines = file.read().split("\n")
            # Without the C library, a call of that name is one of the module's own functions.
            has_c_library = any(match.group(1) in C_LIBRARY for match in map(IMPORT.match, lines) if match)
            for number, line in enumerate(lines, 1):
                match = IMPORT.match(line)
                if match:
                    module = match.group(1)
                    if module not in declared:
                        yield f"{shown}:{number}: imports {module}, which target {name} does not declare"
                    if name in PURE and module in FORBIDDEN_IN_PURE:
                        yield f"{shown}:{number}: {name} is pure and may not import {module}"
                    if (module.startswith("Foundation") and not is_test and name != "KubernetesAPI"
                            and shown.startswith(NO_FOUNDATION_FOLDERS)):
                        yield f"{shown}:{number}: no {module} in db, sentinel and shared modules"
                elif impure and has_c_library and not line.lstrip().startswith("//") and "func " not in line:
                    call = impure.search(line)
                    if call:
                        yield f"{shown}:{number}: {name} is pure and may not call {call.group(1)}()"
        for module in closure(name, targets) & FORBIDDEN_IN_PURE if name in PURE else ():
            yield f"{name}: is pure but depends on {module}"


def swift_files(folder):
    for where, folders, files in os.walk(folder):
        folders.sort()
        yield from (os.path.join(where, file) for file in sorted(files) if file.endswith(".swift"))


def dump_package(root):
    command = [os.environ.get("SWIFT", "swift"), "package", "--package-path", root, "--scratch-path",
               os.path.join(root, ".build"), "dump-package"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit("check-layers: `swift package dump-package` failed:\n" + result.stderr.strip())
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    options = parser.parse_args()
    package = dump_package(options.root)
    problems = [*check_declarations(package), *check_sources(package, options.root)]
    for problem in problems:
        print(f"check-layers: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
