// swift-tools-version: 6.2
// One package for the whole product. The layer rules that this file must obey are in docs/ARCHITECTURE.md and are
// checked by tools/check-layers.py (run by `make check`).
import PackageDescription

/// Settings of every Swift target. Aggressive cross-module optimisation lets the hot path's small functions be inlined
/// from one module into the next. Dynamic exclusivity checks cost 99 to 54 ns a command in classes that hold arrays; debug
/// builds, in which all unit tests run, keep them. It is a root-package build, so unsafeFlags are allowed.
let commonSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioConcurrencyHelpers: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")

func library(_ name: String, path: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: commonSettings)
}

func executable(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: commonSettings)
}

func unitTests(_ module: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(module)Tests", dependencies: [.init(stringLiteral: module), "TestSupport"] + dependencies,
        path: "tests/unit/\(module)Tests", exclude: exclude, swiftSettings: commonSettings)
}

let package = Package(
    name: "dssm",
    products: [
        .executable(name: "dssm-db", targets: ["dssm-db"]),
        .executable(name: "dssm-sentinel", targets: ["dssm-sentinel"]),
        .executable(name: "dssm-cert-init", targets: ["dssm-cert-init"]),
        .executable(name: "dssm-log-forwarder", targets: ["dssm-log-forwarder"]),
        .executable(name: "dssm-restart-coordinator", targets: ["dssm-restart-coordinator"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        // C modules: headers and tiny shims only.
        .systemLibrary(name: "CLinux", path: "shared/CLinux"),
        .systemLibrary(
            name: "COpenSSL", path: "shared/COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLZ4", path: "shared/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZlib", path: "shared/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CYAML", path: "shared/CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),

        // Foundations.
        library("ByteStorage", path: "shared/ByteStorage", ["CLinux"]),
        library("RESP", path: "shared/RESP", ["ByteStorage"]),
        library("TLS", path: "shared/TLS", ["COpenSSL", "ByteStorage"]),
        library("Compression", path: "shared/Compression", ["CLZ4", "CZlib", "ByteStorage"]),
        library("ServerConfiguration", path: "shared/Configuration"),
        library("YAML", path: "shared/YAML", ["CYAML"]),
        library("Telemetry", path: "shared/Telemetry", [logging]),
        library(
            "KubernetesAPI", path: "shared/KubernetesAPI",
            ["YAML", logging, asyncHTTPClient, nioCore, nioHTTP1, nioSSL]),
        library("Reactor", path: "shared/Reactor", ["CLinux", "ByteStorage", "TLS"]),

        library("RESPClient", path: "shared/RESPClient", ["ByteStorage", "RESP", "Reactor", "TLS"]),
        library("RoleDiscovery", path: "shared/RoleDiscovery", ["RESP", "RESPClient"]),

        // db
        library("DatabaseEngine", path: "services/db/Engine", ["CLinux", "ByteStorage", "RESP"]),
        library(
            "DatabasePersistence", path: "services/db/Persistence",
            ["DatabaseEngine", "CLinux", "ByteStorage", "RESP", "Compression"]),
        library("DatabaseReplication", path: "services/db/Replication", ["ByteStorage"]),
        library(
            "DatabaseServer", path: "services/db/Server",
            [
                "DatabaseEngine", "DatabasePersistence", "DatabaseReplication", "CLinux", "ByteStorage", "RESP",
                "Reactor",
                "RESPClient", "TLS", "ServerConfiguration", "Telemetry", "RoleDiscovery", logging,
            ]),
        executable("dssm-db", path: "services/db/Main", ["DatabaseServer", "ServerConfiguration", "Telemetry"]),

        // sentinel
        library("SentinelCore", path: "services/sentinel/Core"),
        library(
            "SentinelServer", path: "services/sentinel/Server",
            [
                "SentinelCore", "ByteStorage", "CLinux", "RESP", "Reactor", "TLS", "ServerConfiguration", "Telemetry",
                "RESPClient", "RoleDiscovery", logging,
            ]),
        executable(
            "dssm-sentinel", path: "services/sentinel/Main",
            ["SentinelServer", "ServerConfiguration", "RESPClient", "Telemetry"]),

        // cert-init
        library(
            "CertificateIssuing", path: "services/cert-init/CertificateIssuing",
            ["TLS", "ServerConfiguration", "Telemetry", "YAML", "KubernetesAPI", logging]),
        executable(
            "dssm-cert-init", path: "services/cert-init/Main",
            ["CertificateIssuing", "KubernetesAPI", "TLS", "Telemetry", "YAML", logging, argumentParser]),

        // log-forwarder
        library(
            "LogForwarding", path: "services/log-forwarder/LogForwarding",
            ["CLinux", "ByteStorage", "Compression", "Reactor", "TLS", "YAML", "Telemetry", logging]),
        executable(
            "dssm-log-forwarder", path: "services/log-forwarder/Main", ["LogForwarding", "Telemetry", argumentParser]),

        // restart-coordinator
        library(
            "RestartCoordination", path: "services/restart-coordinator/RestartCoordination",
            ["ByteStorage", "RESP", "RESPClient", "Reactor", "TLS", "Telemetry", "YAML", "KubernetesAPI", logging]),
        executable(
            "dssm-restart-coordinator", path: "services/restart-coordinator/Main",
            ["RestartCoordination", "KubernetesAPI", "Telemetry", logging, argumentParser]),

        // Tests.
        .target(name: "TestSupport", dependencies: [], path: "tests/Support", swiftSettings: commonSettings),
        unitTests("ByteStorage"),
        unitTests("RESP", ["ByteStorage"]),
        unitTests("TLS", ["ByteStorage"]),
        unitTests("Compression", ["ByteStorage"]),
        unitTests("ServerConfiguration"),
        unitTests("YAML"),
        .target(
            name: "KubernetesTestServer",
            dependencies: ["KubernetesAPI", nioCore, nioPosix, nioHTTP1, nioConcurrencyHelpers],
            path: "tests/KubernetesTestServer", swiftSettings: commonSettings),
        unitTests("KubernetesAPI", ["KubernetesTestServer"]),
        unitTests("Telemetry", [logging]),
        unitTests("Reactor", ["ByteStorage", "TLS"]),
        unitTests("RoleDiscovery", ["RESP", "RESPClient"]),
        unitTests("DatabaseEngine", ["ByteStorage", "RESP"]),
        unitTests("DatabasePersistence", ["DatabaseEngine", "ByteStorage", "Compression"]),
        unitTests("DatabaseReplication", ["ByteStorage"]),
        unitTests(
            "DatabaseServer",
            ["ByteStorage", "CLinux", "DatabaseEngine", "DatabaseReplication", "RESP", "Reactor", "Telemetry"]),
        unitTests("SentinelCore"),
        unitTests(
            "SentinelServer", ["SentinelCore", "ByteStorage", "RESP", "Reactor", "ServerConfiguration", "Telemetry"]),
        unitTests(
            "CertificateIssuing", ["TLS", "KubernetesAPI", "KubernetesTestServer", "Telemetry", logging]),
        executable("StatusPageRenderer", path: "tests/browser/Renderer", ["RestartCoordination"]),
        unitTests(
            "RestartCoordination",
            ["KubernetesAPI", "KubernetesTestServer", "RESP", "RESPClient", "Telemetry", "TLS", "YAML", logging]),
        unitTests(
            "LogForwarding", ["ByteStorage", "CLinux", "Compression", "TLS", "YAML"],
            exclude: ["MessagePackVectors.txt"]),
        .testTarget(
            name: "SentinelSimulationTests", dependencies: ["SentinelCore", "TestSupport"], path: "tests/simulation",
            swiftSettings: commonSettings),
    ]
)
