// What the commands on hashes, sets and sorted sets share: finding, storing and deleting the collection under a key.
import ByteStorage
import RESP

/// The collection that a command is to change.
enum CollectionLookup {
    case absent
    case found(Entry)
    /// Something else is under the key; the error has been sent.
    case wrongType
}

extension Engine {
    /// The collection under `key` for a command that reads it. When nil, a reply has been sent: WRONGTYPE, or by
    /// `absent`.
    @inline(__always)
    func readCollection(_ c: Invocation, _ kind: EntryKind, else absent: () -> Void) -> Entry? {
        guard let entry = findToRead(c.database, c.key, c.hash) else {
            absent()
            return nil
        }
        if entry.kind == kind { return entry }
        c.wrongType()
        return nil
    }

    /// The collection under `key` for a command that changes it.
    @inline(__always)
    func findCollection(_ c: Invocation, _ key: ByteView, _ hash: UInt64, _ kind: EntryKind) -> CollectionLookup {
        guard let slot = findSlot(c.database, key, hash) else { return .absent }
        let entry = Table.entry(slot)
        if entry.kind == kind { return .found(entry) }
        c.wrongType()
        return .wrongType
    }

    /// Puts a new collection under `key`, which must be free.
    @discardableResult
    func insertCollection(
        _ database: Int, _ key: ByteView, _ hash: UInt64, _ kind: EntryKind, _ word: UInt, expiry: Int64? = nil
    ) -> Entry {
        // SAFETY: a collection's word is never 0.
        let pointer = UnsafeMutableRawPointer(bitPattern: word).unsafelyUnwrapped
        return insertObject(database, key, hash, kind, pointer, expiry: expiry)
    }

    /// Deletes a collection that has become empty, and says so.
    func deleteEmptied(_ database: Int, _ key: ByteView) {
        deleteKey(database, key)
        notify(.generic, "del", database, key)
    }

    /// Ends a command that stores a computed collection: an empty result deletes the destination. The reply is `count`.
    func storeResult(
        _ c: Invocation, _ destination: ByteView, _ kind: EntryKind, _ word: UInt, count: Int,
        _ eventClass: KeyspaceEventClasses, _ event: StaticString
    ) {
        if count == 0 {
            destroyCollection(kind, word)
            if findSlot(c.database, destination, hash(destination)) != nil {
                changed(c.database, destination)
                deleteEmptied(c.database, destination)
            }
            return c.reply.integer(0)
        }
        deleteKey(c.database, destination)
        insertCollection(c.database, destination, hash(destination), kind, word)
        changed(c.database, destination)
        notify(eventClass, event, c.database, destination)
        if kind == .sortedSet { signalReady(c.database, destination) }
        c.reply.integer(count)
    }

    // MARK: Random elements

    /// Reads the count of HRANDFIELD and its kin; replies with the error and returns nil when it is none.
    func randomCount(_ c: Invocation, _ index: Int, isPaired: Bool = false) -> Int? {
        guard let count = c.integer(index) else { return nil }
        if count == .min {
            c.reply.error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
            return nil
        }
        // With repetition the reply is as long as the client says: that must have an end.
        if count < -largestRandomReply || isPaired && count.magnitude > UInt64(Int64.max / 2) {
            c.reply.error("ERR value is out of range")
            return nil
        }
        return Int(count)
    }

    /// `count` different entries of `table`, chosen at random; `count` must be less than the table's.
    func randomEntries(_ table: Table, _ count: Int) -> [Entry] {
        var chosen: [Entry] = []
        chosen.reserveCapacity(count)
        if count * 3 > table.count {
            var all: [Entry] = []
            all.reserveCapacity(table.count)
            table.forEach { all.append($0) }
            shuffleFront(&all, count)
            return Array(all[..<count])
        }
        var seen = Set<UInt>()
        while chosen.count < count, let entry = table.randomEntry(&state.pointee.random) {
            if seen.insert(UInt(bitPattern: entry.base)).inserted { chosen.append(entry) }
        }
        return chosen
    }

    /// Fills the first `count` places with elements chosen at random.
    func shuffleFront<Element>(_ elements: inout [Element], _ count: Int) {
        for index in 0..<min(count, elements.count) {
            let other = index + Int(state.pointee.random.next(below: UInt64(elements.count - index)))
            elements.swapAt(index, other)
        }
    }
}

/// The longest reply with repetition that HRANDFIELD and its kin give. Redis has no such limit but that of the client's
/// output buffer.
let largestRandomReply: Int64 = 1 << 24

/// Byte strings gathered one after the other, to be seen as views when all are there.
struct ByteStrings {
    private let buffer = OutputBuffer.create()
    private var ends: [Int] = []

    var count: Int { ends.count }

    mutating func append(_ view: ByteView) {
        buffer.append(view)
        ends.append(buffer.count)
    }

    /// Valid until the next `append`.
    subscript(_ index: Int) -> ByteView {
        buffer.view.slice(index == 0 ? 0 : ends[index - 1], ends[index])
    }

    func destroy() { buffer.destroy() }
}
