import FoundationEssentials

/// Placeholder until the page is merged.
enum StatusPage {
    static func render(_ report: StatusReport, now: Date) -> String { "" }
}
