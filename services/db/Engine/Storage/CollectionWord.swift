// What all collections have in common: the eight bytes that an entry holds for one.
//
// The word is the address of a block with the encoding in its low bits, so a small collection costs its entry and one
// block, and no look-up passes through a header. The word changes when the block moves: whoever changes a collection
// writes it back to the entry.
import ByteStorage

enum CollectionEncoding: UInt {
    /// `CompactList`.
    case compact = 0
    /// `Table`; a sorted set: `SortedSetIndex`.
    case indexed = 1
    /// `IntegerSet`.
    case integers = 2
}

@inline(__always) func collectionEncoding(_ word: UInt) -> CollectionEncoding {
    CollectionEncoding(rawValue: word & 7).unsafelyUnwrapped
}

@inline(__always) func collectionBlock(_ word: UInt) -> UnsafeMutableRawPointer {
    // SAFETY: a collection's word always holds the address of its live block; blocks are aligned to 8 bytes.
    UnsafeMutableRawPointer(bitPattern: word & ~7).unsafelyUnwrapped
}

@inline(__always) func collectionWord(_ block: UnsafeMutableRawPointer, _ encoding: CollectionEncoding) -> UInt {
    UInt(bitPattern: block) | encoding.rawValue
}

extension Table {
    @inline(__always) init(word: UInt) {
        self.init(state: collectionBlock(word).assumingMemoryBound(to: Table.State.self))
    }

    @inline(__always) var word: UInt { collectionWord(UnsafeMutableRawPointer(state), .indexed) }

    /// Frees the entries of a collection's table, their long values and the table.
    func destroyWithEntries() {
        let slab = state.pointee.slab
        forEach { entry in
            if entry.kind == .blobString { entry.blob.destroy(slab) }
            entry.freeBlock(slab)
        }
        destroy()
    }

    /// Bytes of the table with its entries, these estimated from `samples` of them; 0: all.
    func memoryUsage(samples: Int) -> Int {
        var seen = 0
        var bytes = 0
        forEachWhile({ entry in
            bytes += SlabAllocator.rounded(entry.blockBytes)
            if entry.kind == .blobString { bytes += Blob.headerBytes + entry.blob.capacity }
            seen += 1
            return samples == 0 || seen < samples
        })
        return Table.stateBytes + bucketBytes + (seen == 0 ? 0 : bytes * count / seen)
    }
}

extension Entry {
    /// The word of a collection.
    @inline(__always) var word: UInt {
        get { valueBase.loadUnaligned(as: UInt.self) }
        nonmutating set { valueBase.storeBytes(of: newValue, as: UInt.self) }
    }

    /// Makes an entry of a collection's table: a string value, inside the block or as a blob.
    static func makeElement(_ slab: SlabAllocator, _ key: ByteView, _ value: ByteView) -> Entry {
        if value.count <= Entry.largestInlineValue {
            let entry = Entry.make(slab, key: key, kind: .inlineString, valueBytes: value.count, expires: false)
            entry.valueBase.copyMemory(from: value.base, byteCount: value.count)
            return entry
        }
        let entry = Entry.make(slab, key: key, kind: .blobString, valueBytes: 8, expires: false)
        let blob = Blob.make(slab, count: value.count, capacity: value.count)
        blob.bytes.copyMemory(from: value.base, byteCount: value.count)
        entry.setPointer(blob.base)
        return entry
    }
}
