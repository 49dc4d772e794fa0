// INFO memory and MEMORY: what memory is used for.
//
// `used_memory` is what `maxmemory` limits: entries, values and the tables they are found by. Buffers of connections, of the log
// and of replicas come on top and are shown on their own. Of `used_memory`, the tables count as overhead, the rest as dataset.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP
import Reactor

/// What the figures of INFO memory, MEMORY STATS and MEMORY DOCTOR are made from.
struct MemoryReport {
    var used = 0
    var startup = 0
    var peak = 0
    /// Tables by which keys are found.
    var overhead = 0
    /// Bytes that slabs and malloc hold for what is in use.
    var active = 0
    var resident = 0
    /// Resident pages that are not mapped from files.
    var anonymous = 0
    var normalClients = 0
    var replicas = 0
    var backlog = 0
    var log = 0

    var dataset: Int { max(0, used - overhead) }
}

extension Server {
    func memoryReport() -> MemoryReport {
        var report = MemoryReport()
        report.used = engine.usedBytes
        peakMemory = max(peakMemory, report.used)
        report.peak = peakMemory
        report.startup = startupBytes
        report.overhead = min(report.used, max(engine.tableBytes, startupBytes))
        let heap = mallinfo2()
        report.active = engine.reservedBytes + Int(heap.arena) + Int(heap.hblkhd)
        (report.resident, report.anonymous) = Server.residentBytes()
        for client in clients.values {
            let bytes = client.connection.bufferBytes + client.details.queuedBytes + Server.clientStateBytes
            if client.has(.replica) {
                report.replicas += bytes + (client.details.replica?.queue?.capacity ?? 0)
            } else {
                report.normalClients += bytes
            }
        }
        report.backlog = backlogMemory
        report.log = logBufferBytes
        return report
    }

    /// State of a client beside its buffers, about.
    static let clientStateBytes = 1024

    func infoMemory() -> [(String, String)] {
        let report = memoryReport()
        let limit = settings.engine.maxMemoryBytes
        let system = Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
        return [
            ("used_memory", "\(report.used)"), ("used_memory_human", Server.human(report.used)),
            ("used_memory_rss", "\(report.resident)"), ("used_memory_rss_human", Server.human(report.resident)),
            ("used_memory_peak", "\(report.peak)"), ("used_memory_peak_human", Server.human(report.peak)),
            ("used_memory_peak_perc", Server.percent(report.used, report.peak)),
            ("used_memory_overhead", "\(report.overhead)"), ("used_memory_startup", "\(report.startup)"),
            ("used_memory_dataset", "\(report.dataset)"),
            ("used_memory_dataset_perc", Server.percent(report.dataset, report.used - report.startup)),
            ("allocator_allocated", "\(report.used)"), ("allocator_active", "\(report.active)"),
            ("allocator_resident", "\(report.anonymous)"),
            ("total_system_memory", "\(system)"), ("total_system_memory_human", Server.human(system)),
            ("used_memory_lua_human", "0B"), ("used_memory_vm_total_human", "0B"), ("used_memory_scripts_human", "0B"),
            ("maxmemory", "\(limit)"), ("maxmemory_human", Server.human(limit)),
            ("maxmemory_policy", settings.engine.maxMemoryPolicy.rawValue),
            ("allocator_frag_ratio", Server.ratio(report.active, report.used)),
            ("allocator_frag_bytes", "\(report.active - report.used)"),
            ("allocator_rss_ratio", Server.ratio(report.anonymous, report.active)),
            ("allocator_rss_bytes", "\(report.anonymous - report.active)"),
            ("rss_overhead_ratio", Server.ratio(report.resident, report.anonymous)),
            ("rss_overhead_bytes", "\(report.resident - report.anonymous)"),
            ("mem_fragmentation_ratio", Server.ratio(report.resident, report.used)),
            ("mem_fragmentation_bytes", "\(report.resident - report.used)"),
            ("mem_replication_backlog", "\(report.backlog)"),
            ("mem_total_replication_buffers", "\(report.backlog + report.replicas)"),
            ("mem_clients_slaves", "\(report.replicas)"), ("mem_clients_normal", "\(report.normalClients)"),
            ("mem_aof_buffer", "\(report.log)"), ("mem_allocator", "dssm-slab"),
            ("lazyfree_pending_objects", "\(engine.objectsToReclaim)"),
            ("lazyfreed_objects", "\(engine.reclaimedObjects)"),
        ] + Server.absentMemory
    }

    /// `mem_not_counted_for_evict` is one of them because buffers are no part of `used_memory` in the first place.
    private static let absentMemory = [
        "used_memory_lua", "used_memory_vm_eval", "used_memory_scripts_eval", "number_of_cached_scripts",
        "number_of_functions", "number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total",
        "used_memory_functions", "used_memory_scripts", "mem_not_counted_for_evict", "mem_cluster_links",
        "active_defrag_running",
    ].map { ($0, "0") }

    static func percent(_ part: Int, _ whole: Int) -> String {
        (whole > 0 ? fixed(Double(part) * 100 / Double(whole), digits: 2) : "0.00") + "%"
    }

    /// Resident bytes of the process, and those of them that no file backs.
    static func residentBytes() -> (all: Int, anonymous: Int) {
        let fd = cl_open("/proc/self/statm", O_RDONLY, 0)
        guard fd >= 0 else { return (0, 0) }
        defer { _ = close(fd) }
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = read(fd, &buffer, buffer.count)
        guard count > 0 else { return (0, 0) }
        let fields = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ").map { Int($0) ?? 0 }
        guard fields.count > 2 else { return (0, 0) }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        return (fields[1] * page, (fields[1] - fields[2]) * page)
    }
}
