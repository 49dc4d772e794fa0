import Testing

@testable import DatabaseEngine

@Suite("SORT")
struct ListSortTests {
    let run = CommandRunner()

    @Test("Numbers are sorted as numbers, texts with ALPHA, both ways")
    func order() {
        run("RPUSH n 10 9 -1 2.5 1e1 +3")
        #expect(run("SORT n") == "[-1 2.5 +3 9 10 1e1]")
        #expect(run("SORT n DESC") == "[1e1 10 9 +3 2.5 -1]")
        #expect(run("SORT n alpha") == "[+3 -1 10 1e1 2.5 9]")
        #expect(run("SORT n ALPHA DESC ASC") == "[+3 -1 10 1e1 2.5 9]")
        #expect(run("SORT_RO n LIMIT 1 2") == "[2.5 +3]")
        run("RPUSH w 1 one")
        #expect(run("SORT w") == "-ERR One or more scores can't be converted into double")
        #expect(run("SORT w ALPHA") == "[1 one]")
        run("RPUSH z nan")
        #expect(run("SORT z") == "-ERR One or more scores can't be converted into double")
        run("RPUSH i inf -inf 0")
        #expect(run("SORT i") == "[-inf 0 inf]")
        #expect(run("SORT none") == "[]")
    }

    @Test("LIMIT selects from the sorted elements, whatever its numbers")
    func limit() {
        run("RPUSH n 3 1 2")
        #expect(run("SORT n LIMIT 0 2") == "[1 2]")
        #expect(run("SORT n LIMIT 1 -1") == "[2 3]")
        #expect(run("SORT n LIMIT -5 1") == "[1]")
        #expect(run("SORT n LIMIT 3 1") == "[]")
        #expect(run("SORT n LIMIT 9223372036854775807 9223372036854775807") == "[]")
        #expect(run("SORT n LIMIT 1 9223372036854775807") == "[2 3]")
        #expect(run("SORT n LIMIT 0 0") == "[]")
        #expect(run("SORT n LIMIT x 1") == "-ERR value is not an integer or out of range")
    }

    @Test("BY weighs by other keys, a missing weight counting as 0 or as the first text")
    func by() {
        run("RPUSH l a b c d")
        run("MSET w_a 3 w_b 1 w_c -2")
        #expect(run("SORT l BY w_*") == "[c d b a]")
        #expect(run("SORT l BY w_* DESC") == "[a b d c]")
        run("MSET w_a x w_b z w_c y")
        #expect(run("SORT l BY w_* ALPHA") == "[d a c b]")
        #expect(run("SORT l BY w_*") == "-ERR One or more scores can't be converted into double")
        #expect(run("SORT l BY nosort DESC") == "[d c b a]")
        #expect(run("SORT l BY nosort DESC LIMIT 1 2") == "[c b]")
        #expect(run("SORT l BY nosort BY w_*") == "[a b c d]")
        #expect(run("SORT l BY nosort LIMIT 1 2") == "[b c]")
        run("HSET h_a w 9")
        run("HSET h_b w 7")
        #expect(run("SORT l BY h_*->w") == "[c d b a]")
    }

    @Test("GET fetches strings, fields of hashes and the element itself")
    func get() {
        run("RPUSH l 2 1 3")
        run("MSET v_1 one v_2 two")
        run("HSET h_1 name uno rest x")
        run("RPUSH h_3 a")
        #expect(run("SORT l GET v_*") == "[one two nil]")
        #expect(run("SORT l GET # GET v_* GET h_*->name") == "[1 one uno 2 two nil 3 nil nil]")
        #expect(run("SORT l GET v_*-> GET none GET h_*") == "[nil nil nil nil nil nil nil nil nil]")
        #expect(run("SORT_RO l DESC LIMIT 0 1 GET #") == "[3]")
    }

    @Test("STORE makes a list of the result, with empty elements for what was missing")
    func store() {
        run("RPUSH l 2 1 3")
        run("MSET v_1 one v_3 three")
        run("SET target x")
        run("PEXPIRE target 100000")
        #expect(run("SORT l STORE target GET v_*") == ":3")
        #expect(run.elements("target") == ["one", "", "three"])
        #expect(run("TTL target") == ":-1")
        #expect(run("SORT l DESC STORE l") == ":3")
        #expect(run.elements("l") == ["3", "2", "1"])
        #expect(run("SORT none STORE target") == ":0")
        #expect(run("EXISTS target") == ":0")
        #expect(run("SORT l LIMIT 5 5 STORE target") == ":0")
    }

    @Test("Sets are sorted too, and stored in a defined order even when no order was asked for")
    func sets() {
        run("SADD s 10 9 8 100")
        #expect(run("SORT s") == "[8 9 10 100]")
        #expect(run("SORT s DESC LIMIT 0 2") == "[100 10]")
        #expect(run("SORT s BY nosort STORE l") == ":4")
        #expect(run.elements("l") == ["10", "100", "8", "9"])
        run("HSET h f v")
        #expect(run("SORT h") == "-WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    @Test("Sorted sets are sorted by member, and come in the order of their scores when no order is asked for")
    func sortedSets() {
        run("ZADD z 3 10 2 9 1 100")
        #expect(run("SORT z") == "[9 10 100]")
        #expect(run("SORT z ALPHA DESC") == "[9 100 10]")
        #expect(run("SORT z BY nosort") == "[100 9 10]")
        #expect(run("SORT z BY nosort DESC LIMIT 0 2 STORE l") == ":2")
        #expect(run.elements("l") == ["10", "9"])
    }

    @Test(
        "Words that are no options are refused",
        arguments: ["LIMIT 1", "BY", "GET", "STORE", "UP", "ASC x", "LIMIT 0 1 2"])
    func syntax(options: String) {
        run("RPUSH l 1")
        #expect(run("SORT l \(options)") == "-ERR syntax error")
        #expect(run("SORT_RO l STORE x") == "-ERR syntax error")
    }
}
