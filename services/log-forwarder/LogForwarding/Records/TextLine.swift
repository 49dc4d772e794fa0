import ByteStorage

/// The parts of a line in the text form: `pid:R dd Mon yyyy hh:mm:ss.mmm L message service=... event=... name=value ...`.
enum TextLine {
    struct Head {
        var pid: Int64
        var role: StaticString
        var time: EventTime
        var level: StaticString
        var messageStart: Int
    }

    struct Pair {
        var name: Range<Int>
        var value: Range<Int>
    }

    static let mostPairs = 128
    /// Places that may look like the beginning of the pairs, tried from the left.
    private static let mostAttempts = 8

    static func head(_ line: ByteView, utcOffset: Int64) -> Head? {
        var position = 0
        var pid: Int64 = 0
        while position < line.count, position < 10, line[position] &- 48 <= 9 {
            pid = pid * 10 + Int64(line[position] &- 48)
            position += 1
        }
        guard position > 0, line.count > position + 3, line[position] == UInt8(ascii: ":"), line[position + 2] == 32,
            let role = role(line[position + 1]),
            let (time, length) = CalendarTime.parseRedis(
                line.slice(position + 3, line.count), utcOffset: utcOffset)
        else { return nil }
        position += 3 + length
        guard position + 1 < line.count, line[position] == 32, let level = level(line[position + 1]) else { return nil }
        position += 2
        if position < line.count {
            guard line[position] == 32 else { return nil }
            position += 1
        }
        return Head(pid: pid, role: role, time: time, level: level, messageStart: position)
    }

    private static func role(_ byte: UInt8) -> StaticString? {
        switch byte {
        case UInt8(ascii: "M"): "primary"
        case UInt8(ascii: "S"): "replica"
        case UInt8(ascii: "X"): "sentinel"
        case UInt8(ascii: "C"): "worker"
        default: nil
        }
    }

    private static func level(_ byte: UInt8) -> StaticString? {
        switch byte {
        case UInt8(ascii: "."): "debug"
        case UInt8(ascii: "-"): "verbose"
        case UInt8(ascii: "*"): "notice"
        case UInt8(ascii: "#"): "warning"
        default: nil
        }
    }

    /// Finds ` service=... event=... name=value ...` at the end of the line, and where the message before it ends; without
    /// them, `pairs` is empty and the message takes the rest.
    static func parsePairs(_ line: ByteView, from start: Int, into pairs: inout [Pair]) -> Int {
        var position = start
        for _ in 0..<mostAttempts {
            guard let found = find(" service=", line, from: position) else { break }
            if parse(line, from: found, into: &pairs) { return found }
            position = found + 1
        }
        pairs.removeAll(keepingCapacity: true)
        return line.count
    }

    private static func find(_ text: StaticString, _ line: ByteView, from start: Int) -> Int? {
        let wanted = ByteView(text)
        guard line.count - start >= wanted.count, start >= 0 else { return nil }
        var index = start
        while index <= line.count &- wanted.count {
            if line[index] == 32, line[index &+ 1] == wanted[1],
                line.slice(index, index &+ wanted.count) == wanted
            {
                return index
            }
            index &+= 1
        }
        return nil
    }

    /// Whether everything from `start` on is pairs, the first two `service` and `event` and no other of these names.
    private static func parse(_ line: ByteView, from start: Int, into pairs: inout [Pair]) -> Bool {
        pairs.removeAll(keepingCapacity: true)
        var position = start
        while position < line.count {
            guard line[position] == 32, pairs.count < mostPairs else { return false }
            position += 1
            let nameStart = position
            while position < line.count, isNameByte(line[position]) { position += 1 }
            let name = nameStart..<position
            guard !name.isEmpty, position < line.count, line[position] == UInt8(ascii: "=") else { return false }
            let key = line.slice(name.lowerBound, name.upperBound)
            guard (key == "service") == (pairs.count == 0), (key == "event") == (pairs.count == 1) else { return false }
            position += 1
            let value: Range<Int>
            if position < line.count, line[position] == UInt8(ascii: "\"") {
                guard let end = closingQuote(line, from: position + 1) else { return false }
                value = position + 1..<end
                position = end + 1
            } else {
                let valueStart = position
                while position < line.count, line[position] != 32 { position += 1 }
                value = valueStart..<position
            }
            pairs.append(Pair(name: name, value: value))
        }
        return pairs.count >= 2
    }

    /// Quotes inside a value are not escaped: the closing one is followed by the line's end or by the next name.
    private static func closingQuote(_ line: ByteView, from start: Int) -> Int? {
        var index = start
        while index < line.count {
            if line[index] == UInt8(ascii: "\"") {
                if index + 1 == line.count { return index }
                if line[index + 1] == 32 {
                    var next = index + 2
                    while next < line.count, isNameByte(line[next]) { next += 1 }
                    if next > index + 2, next < line.count, line[next] == UInt8(ascii: "=") { return index }
                }
            }
            index += 1
        }
        return nil
    }

    @inline(__always) private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 97 < 26 || byte &- 48 < 10 || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: ".")
    }
}
