import Testing

@testable import Telemetry

@Suite("Metrics and JSON") struct PrometheusTextTests {
    @Test("Families, labels and escapes follow the exposition format")
    func families() {
        var text = PrometheusText()
        text.counter("dssm_commands_total", "Commands\nexecuted \\ all.", 7)
        text.family("dssm_clients", .gauge, "Clients.")
        text.sample(Int64(-3), [("class", "normal"), ("name", "a\"b\\c\nd")])
        text.sample(0.25)
        #expect(
            text.string == #"""
                # HELP dssm_commands_total Commands\nexecuted \\ all.
                # TYPE dssm_commands_total counter
                dssm_commands_total 7
                # HELP dssm_clients Clients.
                # TYPE dssm_clients gauge
                dssm_clients{class="normal",name="a\"b\\c\nd"} -3
                dssm_clients 0.25

                """#)
    }

    @Test("A histogram is cumulative and ends with +Inf, sum and count")
    func histogram() {
        var histogram = Histogram(bounds: [1, 0.5, 10])
        for value in [0.1, 0.5, 0.7, 3, 100] { histogram.observe(value) }
        var text = PrometheusText()
        text.family("h", .histogram, "H.")
        text.sample(histogram, [("op", "get")])
        #expect(
            text.string.split(separator: "\n").dropFirst(2) == [
                #"h_bucket{op="get",le="0.5"} 2"#, #"h_bucket{op="get",le="1"} 3"#, #"h_bucket{op="get",le="10"} 4"#,
                #"h_bucket{op="get",le="+Inf"} 5"#, #"h_sum{op="get"} 104.3"#, #"h_count{op="get"} 5"#,
            ])
    }

    @Test("Special numbers have their names")
    func numbers() {
        #expect(PrometheusText.format(.nan) == "NaN")
        #expect(PrometheusText.format(.infinity) == "+Inf")
        #expect(PrometheusText.format(-.infinity) == "-Inf")
        #expect(PrometheusText.format(3) == "3")
        #expect(PrometheusText.format(0.0001) == "0.0001")
        #expect(PrometheusText.format(1e20) == "1e+20")
    }

    @Test("JSON is separated and escaped right")
    func json() {
        var json = JSONText()
        json.openObject()
        json.member("a\"", "\u{1}\t\\é")
        json.name("list")
        json.openArray()
        json.value(1)
        json.openObject()
        json.closeObject()
        json.value(true)
        json.closeArray()
        json.member("n", Int64.min)
        json.closeObject()
        #expect(json.string == #"{"a\"":"\u0001\t\\é","list":[1,{},true],"n":-9223372036854775808}"#)
    }
}
