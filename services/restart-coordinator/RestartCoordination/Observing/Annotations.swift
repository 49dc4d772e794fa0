/// What people and the coordinator write on objects.
public enum Annotation {
    /// On a StatefulSet: opens a window at once. Any value; the coordinator replaces it by the time at which that window ends.
    public static let maintenance = "dssm-restart-coordinator/maintenance"
    /// On a StatefulSet: its pods are to be restarted. Any value; the coordinator replaces it by the time of the request.
    public static let restart = "dssm-restart-coordinator/restart"
    /// On a Deployment of TMM while it is stopped: the replicas to come back to.
    public static let replicas = "dssm-restart-coordinator/replicas"
    /// On a Deployment of TMM: SHA-256 of the certificate with which its pods were started.
    public static let certificate = "dssm-restart-coordinator/certificate"
}
