// Values with a syntax of their own.
import DatabaseEngine
import Reactor
import ServerConfiguration

enum OutputLimitText {
    private static let names = ["normal", "replica", "pubsub"]

    static func format(_ limits: [OutputLimit]) -> String {
        zip(["normal", "slave", "pubsub"], limits)
            .map { "\($0) \($1.hardBytes) \($1.softBytes) \($1.softSeconds)" }.joined(separator: " ")
    }

    /// Groups of class, hard limit, soft limit, seconds.
    static func parse(_ values: [String], _ current: [OutputLimit]) throws(ConfigurationValueError) -> [OutputLimit] {
        let words = values.flatMap { $0.split(separator: " ").map(String.init) }
        guard !words.isEmpty, words.count % 4 == 0 else {
            throw ConfigurationValueError("Wrong number of arguments in buffer limit configuration.")
        }
        var limits = current
        for start in stride(from: 0, to: words.count, by: 4) {
            let name = words[start].lowercased() == "slave" ? "replica" : words[start].lowercased()
            guard let index = names.firstIndex(of: name) else {
                throw ConfigurationValueError("Invalid client class specified in buffer limit configuration.")
            }
            limits[index] = OutputLimit(
                hardBytes: Int(try ConfigurationValue.memory(words[start + 1])),
                softBytes: Int(try ConfigurationValue.memory(words[start + 2])),
                softSeconds: Int(try ConfigurationValue.integer(words[start + 3], in: 0...1 << 31)))
        }
        return limits
    }
}

enum SaveRuleText {
    /// Pairs of seconds and changes; one empty word: no rules.
    static func parse(_ values: [String]) throws(ConfigurationValueError) -> [SaveRule] {
        let words = values.flatMap { $0.split(separator: " ").map(String.init) }
        guard words.count % 2 == 0 else { throw ConfigurationValueError("Invalid save parameters") }
        var rules: [SaveRule] = []
        for start in stride(from: 0, to: words.count, by: 2) {
            guard let seconds = Int(words[start]), let changes = Int(words[start + 1]), seconds > 0, changes >= 0 else {
                throw ConfigurationValueError("Invalid save parameters")
            }
            rules.append(SaveRule(seconds: seconds, changes: changes))
        }
        return rules
    }
}

enum KeyspaceEventLetters {
    private static let letters: [(Character, KeyspaceEventClasses)] = [
        ("g", .generic), ("$", .string), ("l", .list), ("s", .set), ("h", .hash), ("z", .sortedSet), ("x", .expired),
        ("e", .evicted), ("t", .stream), ("d", .module),
    ]
    private static let further: [(Character, KeyspaceEventClasses)] = [
        ("K", .keyspace), ("E", .keyevent), ("m", .keyMiss), ("n", .new),
    ]

    static func parse(_ text: String) -> KeyspaceEventClasses? {
        var classes: KeyspaceEventClasses = []
        for letter in text {
            if letter == "A" {
                classes.formUnion(.all)
            } else if let known = (letters + further).first(where: { $0.0 == letter }) {
                classes.insert(known.1)
            } else {
                return nil
            }
        }
        return classes
    }

    static func format(_ classes: KeyspaceEventClasses) -> String {
        var text = classes.isSuperset(of: .all) ? "A" : String(letters.filter { classes.contains($0.1) }.map(\.0))
        text += String(further.filter { classes.contains($0.1) }.map(\.0))
        return text
    }
}

enum PercentileText {
    /// Percentages from 0 to 100; one empty word: none.
    static func parse(_ values: [String]) throws(ConfigurationValueError) -> [Double] {
        let words = values.flatMap { $0.split(separator: " ").map(String.init) }
        var result: [Double] = []
        for word in words {
            guard let value = Double(word) else {
                throw ConfigurationValueError("Invalid latency-tracking-info-percentiles parameters")
            }
            guard value >= 0, value <= 100 else {
                throw ConfigurationValueError(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
            }
            result.append(value)
        }
        return result
    }
}
