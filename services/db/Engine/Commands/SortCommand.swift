// SORT and SORT_RO.
//
// The elements are views into the collection, the weights and results views into the entries that the patterns lead
// to: no entry moves or goes while the command runs, except keys whose time has come, and those are seen by none of
// the look-ups. Elements of equal weight are ordered by their bytes, so that the result is the same on every replica.
//
// - Spec: Redis command reference 7.2: SORT (BY, LIMIT, GET, ASC, DESC, ALPHA, STORE), SORT_RO. Deviation: ALPHA
//   compares bytes, which is what Redis does in the C locale.
import ByteStorage
import CLinux
import RESP

/// The options of SORT.
private struct SortRequest {
    var weights: ByteView?
    var results: [ByteView] = []
    var isDescending = false
    var isAlphabetic = false
    var isSorted = true
    var start: Int64 = 0
    /// Negative: all.
    var number: Int64 = -1
    var target: ByteView?

    /// Reads the options; replies with the error and returns nil when one is wrong.
    init?(_ c: Invocation, mayStore: Bool) {
        var index = 2
        while index < c.count {
            let left = c.count - index - 1
            if c.isWord(index, "asc") {
                isDescending = false
            } else if c.isWord(index, "desc") {
                isDescending = true
            } else if c.isWord(index, "alpha") {
                isAlphabetic = true
            } else if c.isWord(index, "limit"), left >= 2 {
                guard let start = c.integer(index + 1), let number = c.integer(index + 2) else { return nil }
                self.start = start
                self.number = number
                index += 2
            } else if mayStore, c.isWord(index, "store"), left >= 1 {
                target = c[index + 1]
                index += 1
            } else if c.isWord(index, "by"), left >= 1 {
                weights = c[index + 1]
                // A pattern that is the same for all elements asks for no order at all, whatever BY comes after it.
                if !c[index + 1].buffer.contains(UInt8(ascii: "*")) { isSorted = false }
                index += 1
            } else if c.isWord(index, "get"), left >= 1 {
                results.append(c[index + 1])
                index += 1
            } else {
                c.reply.error(ErrorText.syntax)
                return nil
            }
            index += 1
        }
    }

    /// The part of `count` elements that LIMIT selects.
    func range(_ count: Int) -> Range<Int> {
        let first = Int(min(max(start, 0), Int64(count)))
        guard number >= 0 else { return first..<count }
        return first..<first + min(count - first, Int(number))
    }
}

private struct SortItem {
    let element: ByteView
    var score = 0.0
    /// What ALPHA compares; nil, when the pattern led nowhere, comes first.
    var text: ByteView?
}

extension Engine {
    func sort(_ c: Invocation, mayStore: Bool) {
        guard var request = SortRequest(c, mayStore: mayStore) else { return }
        let entry = findToRead(c.database, c.key, c.hash)
        if let entry, entry.kind.isString || entry.kind == .hash { return c.wrongType() }
        if let entry, entry.kind == .set, !request.isSorted, request.target != nil {
            // A set has no order of its own that every replica would share.
            request.isSorted = true
            request.isAlphabetic = true
            request.weights = nil
        }
        var copies = ByteStrings()
        let scratch = OutputBuffer.create()
        defer {
            copies.destroy()
            scratch.destroy()
        }
        let isReversed = request.isDescending && !request.isSorted
        let elements = entry.map { sortElements($0, &copies, isReversed: isReversed) } ?? []
        var items = elements.map { SortItem(element: $0) }
        if request.isSorted {
            guard weigh(c, &items, request, scratch) else {
                return c.reply.error("ERR One or more scores can't be converted into double")
            }
            order(&items, request)
        }
        let selected = items[request.range(items.count)]
        if let target = request.target {
            storeSorted(c, target, selected, request, scratch)
        } else {
            c.reply.array(selected.count * max(1, request.results.count))
            forEachResult(c, selected, request, scratch) { result in
                if let result { c.reply.bulk(result) } else { c.reply.null() }
            }
        }
    }

    /// The elements of a list, set or sorted set. `copies` holds those that do not lie in memory as text.
    ///
    /// - Parameter isReversed: a list or sorted set comes from its end backwards.
    private func sortElements(_ entry: Entry, _ copies: inout ByteStrings, isReversed: Bool) -> [ByteView] {
        var elements: [ByteView] = []
        switch entry.kind {
        case .list:
            elements.reserveCapacity(entry.list.count)
            if isReversed {
                entry.list.forEachBackwards(.max) { elements.append($0) }
            } else {
                entry.list.forEach(.max) { elements.append($0) }
            }
            return elements
        case .set: SetValue(word: entry.word).forEach { copies.append($0) }
        case .sortedSet:
            let value = SortedSetValue(word: entry.word)
            let first = isReversed ? value.count - 1 : 0
            value.forEach(from: first, count: value.count, reversed: isReversed) { member, _ in copies.append(member) }
        case .hash, .inlineString, .blobString: break
        }
        return (0..<copies.count).map { copies[$0] }
    }

    // MARK: Order

    /// Finds out what the elements are compared by; false when a weight is no number.
    private func weigh(
        _ c: Invocation, _ items: inout [SortItem], _ request: SortRequest, _ scratch: OutputBuffer
    ) -> Bool {
        for index in items.indices {
            let element = items[index].element
            let weight = request.weights.map { followPattern(c, $0, element, scratch) } ?? element
            if request.isAlphabetic {
                items[index].text = weight
            } else if let weight {
                guard let score = sortScore(weight) else { return false }
                items[index].score = score
            }
        }
        return true
    }

    private func order(_ items: inout [SortItem], _ request: SortRequest) {
        let isDescending = request.isDescending
        let isAlphabetic = request.isAlphabetic
        items.sort { left, right in
            var order = 0
            if !isAlphabetic {
                order = left.score < right.score ? -1 : left.score > right.score ? 1 : 0
            } else if let leftText = left.text, let rightText = right.text {
                order = leftText.compare(rightText)
            } else {
                order = (left.text == nil ? 0 : 1) - (right.text == nil ? 0 : 1)
            }
            if order == 0 { order = left.element.compare(right.element) }
            return isDescending ? order > 0 : order < 0
        }
    }

    /// A weight as the C library reads a double: blanks in front, hexadecimals and infinities count, and nothing is 0.
    private func sortScore(_ text: ByteView) -> Double? {
        if let integer = parseInteger(text) { return Double(integer) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { memory in
            guard let base = memory.baseAddress else { return nil }
            UnsafeMutableRawPointer(base).copyMemory(from: text.base, byteCount: text.count)
            base[text.count] = 0
            var end: UnsafeMutablePointer<CChar>? = nil
            cl_set_errno(0)
            let score = strtod(base, &end)
            guard let end, end.pointee == 0, cl_errno() != ERANGE, !score.isNaN else { return nil }
            return score
        }
    }

    // MARK: Results

    /// Calls `body` with every result of the elements: themselves, or what the GET patterns lead to.
    private func forEachResult(
        _ c: Invocation, _ items: ArraySlice<SortItem>, _ request: SortRequest, _ scratch: OutputBuffer,
        _ body: (ByteView?) -> Void
    ) {
        for item in items {
            if request.results.isEmpty { body(item.element) }
            for pattern in request.results { body(followPattern(c, pattern, item.element, scratch)) }
        }
    }

    private func storeSorted(
        _ c: Invocation, _ target: ByteView, _ items: ArraySlice<SortItem>, _ request: SortRequest,
        _ scratch: OutputBuffer
    ) {
        // The whole list is made before the target goes, which may be what is sorted.
        let list = ListValue.make(slab)
        let limits = listLimits
        var isTooLong = false
        forEachResult(c, items, request, scratch) { result in
            let element = result ?? ByteView("")
            if element.count > ListNode.largestElement { isTooLong = true }
            if !isTooLong { list.push(slab, limits, element, .tail) }
        }
        if isTooLong || list.count == 0 { destroyList(list) }
        if isTooLong { return c.reply.error(ErrorText.stringTooLong) }
        let count = items.count * max(1, request.results.count)
        let wasThere = deleteKey(c.database, target)
        if count > 0 {
            insertList(c.database, target, hash(target), list)
            changed(c.database, target, count)
            notify(.list, "sortstore", c.database, target)
        } else if wasThere {
            changed(c.database, target)
            notify(.generic, "del", c.database, target)
        }
        c.reply.integer(count)
    }

    /// The value that a BY or GET pattern leads to: `#` is the element itself; otherwise the element takes the place
    /// of the first `*` in the name of a key, whose string it is, or with `->field` behind the star, that field of
    /// its hash.
    private func followPattern(
        _ c: Invocation, _ pattern: ByteView, _ element: ByteView, _ scratch: OutputBuffer
    ) -> ByteView? {
        if pattern.count == 1, pattern[0] == UInt8(ascii: "#") { return element }
        guard let star = pattern.buffer.firstIndex(of: UInt8(ascii: "*")) else { return nil }
        var keyEnd = pattern.count
        var field: ByteView?
        var index = star + 1
        while index + 2 < pattern.count {
            if pattern[index] == UInt8(ascii: "-"), pattern[index + 1] == UInt8(ascii: ">") {
                keyEnd = index
                field = pattern.slice(index + 2, pattern.count)
                break
            }
            index += 1
        }
        scratch.removeAll()
        scratch.append(pattern.slice(0, star))
        scratch.append(element)
        scratch.append(pattern.slice(star + 1, keyEnd))
        let key = scratch.view
        guard let entry = findToRead(c.database, key, hash(key)) else { return nil }
        if let field { return entry.kind == .hash ? HashValue(word: entry.word).get(self, field) : nil }
        return entry.kind.isString ? entry.string : nil
    }
}
