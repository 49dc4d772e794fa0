import CLinux

extension Server {
    /// Descriptors beyond clients: listeners, files, links.
    private static let reservedDescriptors = 64

    /// Raises the soft limit of open files so that `clients` fit, as far as the hard limit allows.
    ///
    /// - Returns: the clients that fit.
    @discardableResult
    static func raiseDescriptorLimit(for clients: Int) -> Int {
        var limit = rlimit()
        guard cl_getrlimit_nofile(&limit) == 0 else { return clients }
        let wanted = rlim_t(clients + reservedDescriptors)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = min(wanted, limit.rlim_max)
            _ = cl_setrlimit_nofile(&limit)
        }
        return min(clients, Int(clamping: limit.rlim_cur) - reservedDescriptors)
    }
}
