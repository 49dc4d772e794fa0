// HTML that cannot forget to escape: what is interpolated into an `HTML` literal is text, and escaped, unless it is `HTML` itself.
//
// Names and messages come from the cluster, where others than we write them. They are bounded in length too, because a page that a
// person reads in an emergency must not be pushed away by one message.

struct HTML: ExpressibleByStringInterpolation, Equatable, Sendable {
    private(set) var text: String

    /// Characters of one interpolated text that are shown; the rest is replaced by an ellipsis.
    static let maximumTextLength = 400

    init(stringLiteral value: String) { text = value }

    init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    init(escaping value: String) { text = HTML.escape(value) }

    static func += (left: inout HTML, right: HTML) { left.text += right.text }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text: String

        init(literalCapacity: Int, interpolationCount: Int) {
            text = ""
            text.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }

        mutating func appendLiteral(_ literal: String) { text += literal }

        mutating func appendInterpolation(_ html: HTML) { text += html.text }

        mutating func appendInterpolation(_ parts: [HTML]) {
            for part in parts { text += part.text }
        }

        mutating func appendInterpolation(_ value: Int) { text += String(value) }

        mutating func appendInterpolation(_ value: String) { text += HTML.escape(value) }
    }

    /// Fit for element content and for quoted attributes. Control characters, and those that turn the direction of the text that
    /// follows, become U+FFFD.
    static func escape(_ value: String) -> String {
        var result = ""
        result.reserveCapacity(value.utf8.count)
        let shown = value.unicodeScalars.prefix(maximumTextLength)
        for scalar in shown {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n": result += " "
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{200E}"..."\u{200F}", "\u{202A}"..."\u{202E}",
                "\u{2066}"..."\u{2069}":
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        if shown.endIndex != value.unicodeScalars.endIndex { result += "…" }
        return result
    }

    /// The parts with a separator between them.
    static func join(_ parts: [HTML], _ separator: HTML) -> HTML {
        var result: HTML = ""
        for (index, part) in parts.enumerated() {
            if index > 0 { result += separator }
            result += part
        }
        return result
    }
}
