import ByteStorage

// Values of every type, delivered as strings, elements, pairs and scored members.

extension RDBReader {
    mutating func readValue<Sink: RDBSink>(
        _ source: inout ByteSource, _ type: RDBFormat.ValueType, typeOffset: UInt64, key: ByteView,
        _ metadata: EntryMetadata, into sink: inout Sink
    ) throws(PersistenceError) {
        let target = EntryTarget(key: key, metadata: metadata, offset: typeOffset)
        switch type {
        case .string:
            let value = try readView(&source, scratch: valueScratch, "a string value")
            try deliver(typeOffset) { () throws(SinkRefusal) in
                try sink.string(key: key, value: value, metadata: metadata)
            }
            summary.keys &+= 1
        case .list: try readPlain(&source, .list, target, &sink)
        case .set: try readPlain(&source, .set, target, &sink)
        case .hash: try readPlain(&source, .hash, target, &sink)
        case .sortedSet: try readSortedSet(&source, textScores: true, target, &sink)
        case .sortedSet2: try readSortedSet(&source, textScores: false, target, &sink)
        case .listZiplist: try readPacked(&source, ZiplistWalker.self, .list, target, &sink)
        case .hashZiplist: try readPacked(&source, ZiplistWalker.self, .hash, target, &sink)
        case .sortedSetZiplist: try readPacked(&source, ZiplistWalker.self, .sortedSet, target, &sink)
        case .hashListpack: try readPacked(&source, ListpackWalker.self, .hash, target, &sink)
        case .sortedSetListpack: try readPacked(&source, ListpackWalker.self, .sortedSet, target, &sink)
        case .setListpack: try readPacked(&source, ListpackWalker.self, .set, target, &sink)
        case .setIntset: try readPacked(&source, IntsetWalker.self, .set, target, &sink)
        case .hashZipmap: try readPacked(&source, ZipmapWalker.self, .hash, target, &sink)
        case .listQuicklist: try readQuicklist(&source, ZiplistWalker.self, hasContainerKind: false, target, &sink)
        case .listQuicklist2: try readQuicklist(&source, ListpackWalker.self, hasContainerKind: true, target, &sink)
        case .streamListpacks, .streamListpacks2, .streamListpacks3:
            throw PersistenceError(.unsupported, "streams are not supported yet", offset: typeOffset)
        case .modulePreGA, .module2:
            throw PersistenceError(.unsupported, "module values are not supported yet", offset: typeOffset)
        case .hashMetadata, .hashMetadataPreGA, .hashListpackExpiry, .hashListpackExpiryPreGA:
            throw PersistenceError(
                .unsupported, "hashes with expiries of single fields are not supported yet", offset: typeOffset)
        }
    }

    struct EntryTarget {
        let key: ByteView
        let metadata: EntryMetadata
        /// Where the value's type stands, for refusals by the sink.
        let offset: UInt64
    }

    private func begin<Sink: RDBSink>(
        _ kind: CollectionKind, _ count: UInt64, _ target: EntryTarget, _ sink: inout Sink
    ) throws(PersistenceError) {
        let hint = Int(min(count, UInt64(RDBReader.highestCountHint)))
        try deliver(target.offset) { () throws(SinkRefusal) in
            try sink.beginCollection(kind, key: target.key, countHint: hint, metadata: target.metadata)
        }
    }

    private mutating func finish<Sink: RDBSink>(
        _ target: EntryTarget, _ sink: inout Sink
    ) throws(PersistenceError) {
        try deliver(target.offset) { () throws(SinkRefusal) in try sink.endCollection() }
        summary.keys &+= 1
    }

    /// A count and then so many strings, or pairs of strings.
    private mutating func readPlain<Sink: RDBSink>(
        _ source: inout ByteSource, _ kind: CollectionKind, _ target: EntryTarget, _ sink: inout Sink
    ) throws(PersistenceError) {
        let count = try readLength(&source, "a number of elements")
        guard count > 0 else {
            summary.emptyKeys &+= 1
            return
        }
        try begin(kind, count, target, &sink)
        var left = count
        while left > 0 {
            left &-= 1
            let offset = source.offset
            if kind == .hash {
                let field = try readString(&source, into: fieldScratch, "a hash field")
                let value = try readView(&source, scratch: valueScratch, "a hash value")
                try deliver(offset) { () throws(SinkRefusal) in try sink.pair(field: field, value: value) }
            } else {
                let value = try readView(&source, scratch: valueScratch, "an element")
                try deliver(offset) { () throws(SinkRefusal) in try sink.element(value) }
            }
        }
        try finish(target, &sink)
    }

    private mutating func readSortedSet<Sink: RDBSink>(
        _ source: inout ByteSource, textScores: Bool, _ target: EntryTarget, _ sink: inout Sink
    ) throws(PersistenceError) {
        let count = try readLength(&source, "a number of members")
        guard count > 0 else {
            summary.emptyKeys &+= 1
            return
        }
        try begin(.sortedSet, count, target, &sink)
        var left = count
        while left > 0 {
            left &-= 1
            let offset = source.offset
            let member = try readString(&source, into: fieldScratch, "a member")
            let scoreOffset = source.offset
            let score =
                textScores
                ? try readTextScore(&source)
                : Double(bitPattern: UInt64(littleEndian: try source.integer(UInt64.self, "a score")))
            guard !score.isNaN else {
                throw PersistenceError(.damaged, "expected a score that is a number", offset: scoreOffset)
            }
            try deliver(offset) { () throws(SinkRefusal) in try sink.scored(member: member, score: score) }
        }
        try finish(target, &sink)
    }

    /// A length byte and so many characters; the lengths from 253 stand for NaN and the infinities.
    private func readTextScore(_ source: inout ByteSource) throws(PersistenceError) -> Double {
        let offset = source.offset
        let length = try source.byte("the length of a score")
        switch length {
        case 253: return .nan
        case 254: return .infinity
        case 255: return -.infinity
        default:
            let text = try source.take(Int(length), "a score")
            guard let score = parseScore(text) else {
                throw PersistenceError(.damaged, "expected a score that is a number", offset: offset)
            }
            return score
        }
    }

    // MARK: Packed encodings

    /// Walks the whole blob once before anything of it is delivered: damage is found, and the count is known.
    private func count<Walker: PackedWalker>(
        _ blob: ByteView, _ walker: Walker.Type, offset: UInt64
    ) throws(PersistenceError) -> UInt64 {
        do {
            var walker = try Walker(blob)
            var count: UInt64 = 0
            while try walker.next() != nil { count &+= 1 }
            return count
        } catch {
            throw PersistenceError(
                .damaged, "expected \(error.expected) at byte \(error.offset) of the encoded value", offset: offset)
        }
    }

    private mutating func readPacked<Walker: PackedWalker, Sink: RDBSink>(
        _ source: inout ByteSource, _ type: Walker.Type, _ kind: CollectionKind, _ target: EntryTarget,
        _ sink: inout Sink
    ) throws(PersistenceError) {
        let offset = source.offset
        let blob = try readView(&source, scratch: valueScratch, "an encoded value")
        let entries = try count(blob, type, offset: offset)
        guard entries > 0 else {
            summary.emptyKeys &+= 1
            return
        }
        let paired = kind == .hash || kind == .sortedSet
        guard !paired || entries % 2 == 0 else {
            throw PersistenceError(.damaged, "expected an even number of entries, found \(entries)", offset: offset)
        }
        try begin(kind, paired ? entries / 2 : entries, target, &sink)
        try deliverPacked(blob, type, kind, offset: offset, &sink)
        try finish(target, &sink)
    }

    private func deliverPacked<Walker: PackedWalker, Sink: RDBSink>(
        _ blob: ByteView, _ type: Walker.Type, _ kind: CollectionKind, offset: UInt64, _ sink: inout Sink
    ) throws(PersistenceError) {
        // The source and `valueScratch` stay untouched while the blob, which is in one of them, is walked: integers are
        // written out into two other buffers.
        do {
            var walker = try Walker(blob)
            while let first = try walker.next() {
                let member = text(of: first, in: fieldScratch)
                guard kind == .hash || kind == .sortedSet else {
                    try deliver(offset) { () throws(SinkRefusal) in try sink.element(member) }
                    continue
                }
                guard let second = try walker.next() else { return }
                if kind == .hash {
                    let value = text(of: second, in: numberScratch)
                    try deliver(offset) { () throws(SinkRefusal) in try sink.pair(field: member, value: value) }
                } else {
                    let score: Double
                    switch second {
                    case .integer(let value): score = Double(value)
                    case .bytes(let text):
                        guard let value = parseScore(text) else {
                            throw PersistenceError(.damaged, "expected a score that is a number", offset: offset)
                        }
                        score = value
                    }
                    try deliver(offset) { () throws(SinkRefusal) in try sink.scored(member: member, score: score) }
                }
            }
        } catch let error as PersistenceError {
            throw error
        } catch {
            throw PersistenceError(.damaged, "expected a sound encoded value", offset: offset)
        }
    }

    @inline(__always) private func text(of value: PackedValue, in scratch: OutputBuffer) -> ByteView {
        switch value {
        case .bytes(let view): view
        case .integer(let number): decimal(number, in: scratch)
        }
    }

    /// Nodes of a ziplist each, or (`hasContainerKind`) of a listpack or one plain element each.
    private mutating func readQuicklist<Walker: PackedWalker, Sink: RDBSink>(
        _ source: inout ByteSource, _ type: Walker.Type, hasContainerKind: Bool, _ target: EntryTarget,
        _ sink: inout Sink
    ) throws(PersistenceError) {
        var nodes = try readLength(&source, "a number of list nodes")
        var begun = false
        while nodes > 0 {
            nodes &-= 1
            let offset = source.offset
            var isPlain = false
            if hasContainerKind {
                switch try readLength(&source, "the kind of a list node") {
                case 1: isPlain = true
                case 2: isPlain = false
                default: throw PersistenceError(.damaged, "expected 1 or 2 as a list node's kind", offset: offset)
                }
            }
            let blob = try readView(&source, scratch: valueScratch, "a list node")
            if !isPlain, try count(blob, type, offset: offset) == 0 { continue }
            if !begun {
                try begin(.list, 0, target, &sink)
                begun = true
            }
            if isPlain {
                try deliver(offset) { () throws(SinkRefusal) in try sink.element(blob) }
            } else {
                try deliverPacked(blob, type, .list, offset: offset, &sink)
            }
        }
        if begun { try finish(target, &sink) } else { summary.emptyKeys &+= 1 }
    }
}
