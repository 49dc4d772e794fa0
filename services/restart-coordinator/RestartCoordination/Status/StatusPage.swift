// The status page: one HTML document without scripts or other files, made for a person on call.
//
// What is wrong comes first, then what is being done, then what there is. It loads itself anew, so that a screen on a wall is right
// too. Colour never says anything that a word or a sign does not say as well.
//
// - Spec: WCAG 2.2 level AA for contrast (1.4.3), use of colour (1.4.1) and reflow (1.4.10).
import FoundationEssentials

public enum StatusPage {
    public static let contentType = "text/html; charset=utf-8"
    /// Seconds after which a browser loads the page again.
    static let refreshSeconds = 10
    /// Rows of one table; what is beyond is in `/api/status`.
    static let maximumRows = 50
    static let maximumRuns = 10
    /// Lines of the banner's list.
    static let maximumFindings = 12

    public static func render(_ report: StatusReport, now: Date) -> String {
        let findings = StatusFindings(report, now: now).all
        let banner = Banner(report, findings)
        let sections = [
            run(report, now), pods(report, now), workloads(report), maintenance(report, now), conditions(report, now),
            history(report, now),
        ]
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="refresh" content="\(refreshSeconds)">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline';img-src data:">
            <title>\(banner.level.word) – dSSM \(report.namespace)</title>
            <link rel="icon" href="\(banner.level.icon)">
            <style>\(style)</style>
            </head>
            <body>
            <header><h1>dSSM <span class="n">in</span> \(report.namespace)</h1>\
            <p class="n">\(TimeText.utc(now, seconds: true))\(seen(report, now))</p></header>
            <main>
            \(banner.html)
            \(sections)</main>
            \(footer(report))
            </body>
            </html>

            """
        return page.text
    }

    private static func seen(_ report: StatusReport, _ now: Date) -> HTML {
        guard let observed = report.observedAt else { return "" }
        return "; cluster seen \(TimeText.relative(observed, now: now))"
    }

    private static func footer(_ report: StatusReport) -> HTML {
        let leads: HTML =
            switch report.leader {
            case report.instance: "This instance leads"
            case let leader?: "\(leader) leads, this instance stands by"
            case nil: "No instance leads"
            }
        return """
            <footer><p>\(leads). Written by \(report.instance), version \(report.version); loads itself anew every \
            \(refreshSeconds) s.</p><p><a href="/api/status">All of this as JSON</a> <a href="/metrics">Metrics</a></p></footer>
            """
    }

    /// A section with a heading; empty without content.
    static func section(_ title: HTML, _ content: HTML) -> HTML {
        content.text.isEmpty ? "" : "<section><h2>\(title)</h2>\n\(content)</section>\n"
    }

    /// A table that becomes a list of cards on a narrow screen. Its roles are written out, because some browsers forget a table's
    /// meaning when its display changes.
    static func table(_ caption: HTML, _ columns: [HTML], _ rows: [[HTML]], more: Int = 0) -> HTML {
        let head = columns.map { column -> HTML in "<th scope=\"col\" role=\"columnheader\">\(column)</th>" }
        let body = rows.map { row -> HTML in
            let cells = zip(columns, row).enumerated().map { index, cell -> HTML in
                index == 0
                    ? "<th scope=\"row\" role=\"rowheader\">\(cell.1)</th>"
                    : "<td role=\"cell\" data-l=\"\(cell.0)\">\(cell.1)</td>"
            }
            return "<tr role=\"row\">\(cells)</tr>\n"
        }
        let rest: HTML =
            more > 0 ? "<p class=\"n\">and \(more) more in <a href=\"/api/status\">/api/status</a></p>" : ""
        return """
            <table role="table"><caption>\(caption)</caption>
            <thead role="rowgroup"><tr role="row">\(head)</tr></thead>
            <tbody role="rowgroup">
            \(body)</tbody></table>\(rest)

            """
    }

    /// A word with a sign, coloured by what it means.
    enum Mark: String {
        case good = "ok"
        case bad = "wa"
        case worst = "cr"
        case busy = "pr"

        private var sign: HTML {
            switch self {
            case .good: "✓"
            case .bad: "▲"
            case .worst: "✖"
            case .busy: "↻"
            }
        }

        func callAsFunction(_ text: HTML) -> HTML {
            "<span class=\"m \(rawValue)\"><span aria-hidden=\"true\">\(sign)</span> \(text)</span>"
        }
    }

    /// `17 B`, `3.4 MiB`.
    static func bytes(_ count: Int) -> String {
        var (value, unit) = (Double(count), 0)
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        while value >= 1024, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        if unit == 0 { return "\(count) B" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}

/// The first thing on the page: how it stands, and all that is wrong, the worst first.
private struct Banner {
    enum Level: String {
        case critical = "cr"
        case warning = "wa"
        case progress = "pr"
        case healthy = "ok"
        case unknown = "un"

        var word: String {
            switch self {
            case .critical: "Critical"
            case .warning: "Warning"
            case .progress: "Restarting"
            case .healthy: "Healthy"
            case .unknown: "Starting"
            }
        }

        var sign: String {
            switch self {
            case .critical: "✖"
            case .warning: "▲"
            case .progress: "↻"
            case .healthy: "✓"
            case .unknown: "…"
            }
        }

        /// A dot in the state's colour for the browser's tab, beside the word in the title.
        var icon: String {
            let colour =
                switch self {
                case .critical: "cf222e"
                case .warning: "d4a72c"
                case .progress: "218bff"
                case .healthy: "2da44e"
                case .unknown: "8c959f"
                }
            return "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 8 8%22%3E"
                + "%3Ccircle cx=%224%22 cy=%224%22 r=%224%22 fill=%22%23\(colour)%22/%3E%3C/svg%3E"
        }
    }

    let level: Level
    let headline: HTML
    let others: [StatusFinding]

    init(_ report: StatusReport, _ findings: [StatusFinding]) {
        if let worst = findings.first, worst.severity > .notice {
            level = worst.severity == .critical ? .critical : .warning
            headline = worst.text
            others = Array(findings.dropFirst())
            return
        }
        others = findings
        if report.cluster == nil {
            level = .unknown
            headline = "The cluster has not been seen yet."
        } else if let run = report.run, run.outcome == .running {
            level = .progress
            headline = "A restart is in progress: \(run.restartedPods) of \(run.duePods) pods are done."
        } else {
            level = .healthy
            headline = "All pods are ready, the replicas are in sync, the sentinels have their quorum."
        }
    }

    var html: HTML {
        var items = others.prefix(StatusPage.maximumFindings).map { finding -> HTML in
            switch finding.severity {
            case .critical: "<li>\(StatusPage.Mark.worst("Critical")) \(finding.text)</li>"
            case .warning: "<li>\(StatusPage.Mark.bad("Warning")) \(finding.text)</li>"
            case .notice: "<li>\(finding.text)</li>"
            }
        }
        if others.count > items.count { items.append("<li>and \(others.count - items.count) more</li>") }
        let list: HTML = items.isEmpty ? "" : "<ul>\(items)</ul>"
        return """
            <section class="b \(level.rawValue)" aria-label="State">\
            <h2><span class="w"><span aria-hidden="true">\(level.sign)</span> \(level.word)</span> \(headline)</h2>\(list)</section>
            """
    }
}
