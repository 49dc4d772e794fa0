// What a coordinator is told: where dSSM and TMM are, when it may disturb them, and how patient it is.
import Foundation
import TLS
import Telemetry

public struct CoordinatorSettings: Sendable {
    /// Empty: that of the pod, or of the kubeconfig.
    public var namespace = ""
    /// Names of the two StatefulSets.
    public var db = "f5-dssm-db"
    public var sentinel = "f5-dssm-sentinel"
    /// What the sentinels call the primary.
    public var primaryName = "dssm"
    public var clusterDomain = "cluster.local"
    public var certificatesSecret = "dssm-certs-secret"
    /// The item of that Secret which holds the certificate of the pods.
    public var certificateItem = "dssm-cert.crt"
    /// With what the pods are asked; nil: without TLS.
    public var tls: TLSSettings? = CoordinatorSettings.mountedTLS

    public var windows: [MaintenanceWindow] = []
    /// Days without any window, as they were written and as they are meant.
    public var blackouts: [(text: String, days: Blackout)] = []
    /// For how long the annotation opens a window.
    public var nowDuration: Duration = .seconds(3600)

    /// Deployments of TMM.
    public var workloads: [WorkloadSelection] = []
    public var policy = RestartPolicy()
    /// How long a pod may serve another certificate than the Secret's before it counts as not having reloaded it.
    public var reloadGrace: Duration = .seconds(600)
    /// A replica that lags by more is not in sync.
    public var syncLagBytes: Int64 = 1 << 20

    /// Between two looks at the cluster when nothing happens; and while a restart is under way.
    public var interval: Duration = .seconds(15)
    public var busyInterval: Duration = .seconds(1)
    /// For all pods together, in one look.
    public var probeTimeout: Duration = .seconds(3)

    /// Names of the ConfigMap with the progress and of the Lease; empty: made from the db's.
    public var stateConfigMap = ""
    public var lease = ""
    public var leaseDuration: Duration = .seconds(15)

    /// `*`: all addresses of both families.
    public var httpHost = "*"
    public var httpPort: UInt16 = 9121
    public var logLevel = LogLevel.notice
    public var logFormat = LogFormat.text

    public init() {}

    /// Where the chart mounts the Secrets.
    public static var mountedTLS: TLSSettings {
        var tls = TLSSettings()
        tls.caFile = "/etc/dssm/certs/dssm-ca.crt"
        tls.certificateFile = "/etc/dssm/certs/dssm-cert.crt"
        tls.keyFile = "/etc/dssm/keys/dssm-key.key"
        return tls
    }

    public var schedule: MaintenanceSchedule {
        MaintenanceSchedule(windows: windows, blackouts: blackouts.map(\.days))
    }

    /// The release's name before `-db`: `f5-dssm` for `f5-dssm-db`.
    private var prefix: String { db.hasSuffix("-db") ? String(db.dropLast(3)) : db }
    public var stateName: String { stateConfigMap.isEmpty ? "\(prefix)-restart-coordinator-state" : stateConfigMap }
    public var leaseName: String { lease.isEmpty ? "\(prefix)-restart-coordinator" : lease }
}

/// Deployments of TMM, by name or by label.
public struct WorkloadSelection: Sendable, Equatable {
    public enum Which: Sendable, Equatable {
        case name(String)
        /// Such as `app=f5-tmm`.
        case labels(String)
    }

    public let namespace: String
    public let which: Which

    public init(namespace: String, _ which: Which) {
        self.namespace = namespace
        self.which = which
    }
}
