// What the keyspace, the snapshot and the log need to know of lists.
import ByteStorage

extension Entry {
    /// The value of an entry of kind `list`.
    @inline(__always) var list: ListValue { ListValue(pointer) }
}

/// A list that is being loaded and is under no key yet.
public struct ListLoader {
    let list: ListValue
    let limits: ListLimits
}

extension Engine {
    @inline(__always) var listLimits: ListLimits { ListLimits(setting: state.pointee.settings.listMaxCompactSize) }

    func destroyList(_ list: ListValue) {
        if list.nodeCount > Reclaimer.threshold { return discard(.list(list), objects: 1) }
        list.destroy(slab)
    }

    /// Stores a copy of a list under `key`, which must be free.
    func duplicateList(_ source: Entry, to database: Int, key: ByteView, expiry: Int64?) {
        insertList(database, key, hash(key), source.list.duplicate(slab), expiry: expiry)
    }

    func listEncodingName(_ entry: Entry) -> StaticString {
        entry.list.isCompact(listLimits) ? "listpack" : "quicklist"
    }

    func listMemoryUsage(_ entry: Entry, samples: Int) -> Int {
        entry.blockBytes + 8 + entry.list.memoryUsage(samples: samples)
    }

    /// Puts a list that is not empty under `key`, which must be free, and tells who waits for one there.
    func insertList(_ database: Int, _ key: ByteView, _ hash: UInt64, _ list: ListValue, expiry: Int64? = nil) {
        _ = insertObject(database, key, hash, .list, list.base, expiry: expiry)
        signalReady(database, key)
    }

    // MARK: Saving and loading

    /// The number of elements of an entry of kind `list`.
    public func listCount(_ entry: Entry) -> Int { entry.list.count }

    /// Calls `body` with every element of an entry of kind `list`, from the head on. The list must not change
    /// meanwhile.
    public func forEachListElement(_ entry: Entry, _ body: (ByteView) -> Void) {
        entry.list.forEach(.max, body)
    }

    /// Begins a list to be stored by `loadListEnd` or dropped by `loadListAbandon`.
    public func loadListBegin() -> ListLoader { ListLoader(list: .make(slab), limits: listLimits) }

    /// Adds an element at the tail.
    ///
    /// - Returns: false when it is too long to be in a list.
    public func loadListElement(_ loader: ListLoader, _ element: ByteView) -> Bool {
        guard element.count <= ListNode.largestElement else { return false }
        loader.list.push(slab, loader.limits, element, .tail)
        return true
    }

    /// Stores the list under `key`, in place of what is there. An empty one is dropped.
    public func loadListEnd(_ loader: ListLoader, _ database: Int, _ key: ByteView, expiry: Int64?) {
        guard loader.list.count > 0 else { return loadListAbandon(loader) }
        deleteKey(database, key)
        insertList(database, key, hash(key), loader.list, expiry: expiry)
    }

    public func loadListAbandon(_ loader: ListLoader) { destroyList(loader.list) }
}
