// Reads YAML documents with libyaml's event parser.
//
// Settings are small and come from people, so the whole document becomes a tree that knows its lines. Anchors and merge keys
// are resolved while it is built. Limits keep a hostile document from growing: bytes, depth, and nodes counted after aliases
// are resolved, because an alias of an alias of an alias multiplies.
//
// - Spec: YAML 1.2.2, sections 6.9 (anchors), 7.1 (aliases) and 10.3 (core schema), in the 1.1 dialect that libyaml parses; the
//   merge key of yaml.org/type/merge.
import CYAML

public enum YAMLParser {
    static let largestDocument = 8 << 20
    static let deepest = 64
    static let mostNodes = 200_000

    /// Parses text of one document at most.
    ///
    /// - Returns: nil for an empty document.
    /// - Throws: where and why the text is no YAML, goes over a limit, or repeats a key.
    public static func parse(_ text: String) throws(YAMLError) -> YAMLNode? {
        var text = text
        // SAFETY: the parser reads from the buffer until it is deleted, which happens inside the call.
        let result = text.withUTF8 { bytes -> Result<YAMLNode?, YAMLError> in
            guard bytes.count <= largestDocument else {
                return .failure(YAMLError("more than \(largestDocument >> 20) MiB", line: 1))
            }
            do throws(YAMLError) {
                return .success(try DocumentBuilder.build(bytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// One run over a document's events.
private struct DocumentBuilder: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private var event = yaml_event_t()
    private var anchors: [String: YAMLNode] = [:]
    private var nodes = 0

    static func build(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) -> YAMLNode? {
        var builder = DocumentBuilder(bytes)
        return try builder.document()
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>) {
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        yaml_parser_initialize(parser)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deinitialize(count: 1)
        parser.deallocate()
    }

    private var line: Int { Int(event.start_mark.line) + 1 }
    private var column: Int { Int(event.start_mark.column) + 1 }
    private func failure(_ message: String) -> YAMLError { YAMLError(message, line: line, column: column) }

    /// Takes the next event; the one before must have been deleted.
    private mutating func next() throws(YAMLError) -> yaml_event_type_t {
        guard yaml_parser_parse(parser, &event) == 1 else {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not readable"
            let mark = parser.pointee.problem_mark
            throw YAMLError(problem, line: Int(mark.line) + 1, column: Int(mark.column) + 1)
        }
        return event.type
    }

    private mutating func document() throws(YAMLError) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let type = try next()
            defer { yaml_event_delete(&event) }
            switch type {
            case YAML_STREAM_END_EVENT: return root
            case YAML_DOCUMENT_START_EVENT:
                if root != nil { throw failure("a second document") }
                root = try node(depth: 0)
            default: break
            }
        }
    }

    private static func text(_ pointer: UnsafePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }

    private mutating func count(_ more: Int) throws(YAMLError) {
        nodes += more
        if nodes > YAMLParser.mostNodes { throw failure("more than \(YAMLParser.mostNodes) values") }
    }

    /// The node that the next event begins; nil when that event ends a collection.
    private mutating func node(depth: Int) throws(YAMLError) -> YAMLNode? {
        // The event before this one is the caller's: it is kept aside and put back, so that its `defer` deletes it.
        let outer = event
        event = yaml_event_t()
        defer {
            yaml_event_delete(&event)
            event = outer
        }
        let type = try next()
        if depth > YAMLParser.deepest { throw failure("nested more than \(YAMLParser.deepest) deep") }
        try count(1)
        let anchor = DocumentBuilder.text(cy_anchor(&event))
        let line = line
        let result: YAMLNode
        switch type {
        case YAML_SCALAR_EVENT: result = scalar(line)
        case YAML_ALIAS_EVENT:
            guard let target = anchors[anchor ?? ""] else { throw failure("no anchor '\(anchor ?? "")' before this") }
            try count(target.size)
            return target
        case YAML_SEQUENCE_START_EVENT:
            var items: [YAMLNode] = []
            while let item = try node(depth: depth + 1) { items.append(item) }
            result = .sequence(items, line: line)
        case YAML_MAPPING_START_EVENT: result = .mapping(try pairs(depth), line: line)
        default: return nil
        }
        if let anchor { anchors[anchor] = result }
        return result
    }

    private func scalar(_ line: Int) -> YAMLNode {
        withUnsafePointer(to: event) { event in
            let bytes = UnsafeBufferPointer(start: cy_scalar(event), count: cy_scalar_length(event))
            let isText = cy_is_plain(event) == 0 || DocumentBuilder.text(cy_tag(event)) == "tag:yaml.org,2002:str"
            return .scalar(text: String(decoding: bytes, as: UTF8.self), isPlain: !isText, line: line)
        }
    }

    private mutating func pairs(_ depth: Int) throws(YAMLError) -> [YAMLNode.Pair] {
        var pairs: [YAMLNode.Pair] = []
        var merged: [YAMLNode.Pair] = []
        var seen = Set<String>()
        while let key = try node(depth: depth + 1) {
            guard case .scalar(let name, let isPlain, let line) = key else {
                throw YAMLError("a key that is not a scalar", line: key.line)
            }
            guard let value = try node(depth: depth + 1) else { throw YAMLError("a key without a value", line: line) }
            if name == "<<", isPlain {
                merged += try DocumentBuilder.mergedPairs(value)
                continue
            }
            guard seen.insert(name).inserted else { throw YAMLError("the key '\(name)' is there twice", line: line) }
            pairs.append(YAMLNode.Pair(key: name, keyLine: line, value: value))
        }
        // What the mapping says itself goes before what it merges, and that in the order of merging.
        for pair in merged where seen.insert(pair.key).inserted { pairs.append(pair) }
        return pairs
    }

    private static func mergedPairs(_ value: YAMLNode) throws(YAMLError) -> [YAMLNode.Pair] {
        if let pairs = value.mapping { return pairs }
        guard let sequence = value.sequence else { throw YAMLError("<< merges mappings only", line: value.line) }
        var pairs: [YAMLNode.Pair] = []
        for node in sequence {
            guard let more = node.mapping else { throw YAMLError("<< merges mappings only", line: node.line) }
            pairs += more
        }
        return pairs
    }
}

extension YAMLNode {
    /// Values in this tree, itself included.
    fileprivate var size: Int {
        switch self {
        case .scalar: 1
        case .sequence(let nodes, _): nodes.reduce(1) { $0 + $1.size }
        case .mapping(let pairs, _): pairs.reduce(1) { $0 + 1 + $1.value.size }
        }
    }
}
